// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLacks reads configurations, and goes by the release where there is none.
func TestLacks(t *testing.T) {
	all := "# Automatically generated file; DO NOT EDIT.\n"
	for _, n := range needs {
		for _, option := range n.options {
			all += "CONFIG_" + option + "=m\n"
		}
	}
	for name, c := range map[string]struct {
		kernel, config string
		lacks          []string
	}{
		"nothing":          {"7.3.4", all, nil},
		"by its release":   {"6.1.192", all, []string{"time-namespace", "pid-max"}},
		"an option is off": {"7.3.4", strings.Replace(all, "CONFIG_NET_SCH_NETEM=m", "# CONFIG_NET_SCH_NETEM is not set", 1), []string{"netem"}},
		"built in":         {"7.3.4", strings.ReplaceAll(all, "=m", "=y"), nil},
		"one of two":       {"7.3.4", strings.Replace(all, "CONFIG_NF_TABLES_INET=m\n", "", 1), []string{"nftables"}},
		"its path":         {"/boot/vmlinuz", strings.Replace(all, "CONFIG_TIME_NS=m\n", "CONFIG_TIME_NS=n\n", 1), []string{"time-namespace"}},
	} {
		lacks, err := Lacks(c.kernel, strings.NewReader(c.config))
		require.NoError(t, err, name)
		assert.Equal(t, c.lacks, lacks, name)
	}
	lacks, err := Lacks("uml:6.12.113", nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"pid-max"}, lacks)
}
