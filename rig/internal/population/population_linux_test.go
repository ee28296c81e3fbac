// SPDX-License-Identifier: Apache-2.0

package population

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What processes of a population see is tested in package rig, with labs.

// TestSubjectsNumberIsInItsStatus reads the numbers of a process.
func TestSubjectsNumberIsInItsStatus(t *testing.T) {
	t.Parallel()
	for status, wanted := range map[string]int{
		"Name:\tx\nNSpid:\t77\t4\t2\nNSsid:\t1\n": 2,
		"NSpid:\t5\n": 5,
	} {
		pid, err := parseInnermostPID([]byte(status))
		require.NoError(t, err)
		assert.Equal(t, wanted, pid)
	}
	for _, status := range []string{"", "NSpid:\n", "NSpid:\tx\n", "Name:\tNSpid:\t3\n"} {
		_, err := parseInnermostPID([]byte(status))
		assert.Error(t, err, "%q", status)
	}
}
