// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzSelect: who asks for checks gets just those, each once, and no others.
func FuzzSelect(f *testing.F) {
	for _, names := range []string{"", " ", "reap", "reap, term", "term,reap,reap", ",", "Reap", "reap,\x1b[2J", "accept-errors"} {
		f.Add(names)
	}
	f.Fuzz(func(t *testing.T, names string) {
		selected, err := Select(names)
		if err != nil {
			require.Contains(t, err.Error(), "there is no check called \"")
			require.NotContains(t, err.Error(), "\x1b")
			return
		}
		require.NotEmpty(t, selected)
		seen := map[string]bool{}
		for _, check := range selected {
			require.False(t, seen[check.Name], "twice")
			seen[check.Name] = true
			require.True(t, strings.TrimSpace(names) == "" || strings.Contains(names, check.Name) || Renamed(names) != "")
		}
	})
}

func TestSelect(t *testing.T) {
	all, err := Select("")
	require.NoError(t, err)
	assert.Len(t, all, len(All()))
	some, err := Select(" term,reap ,")
	require.ErrorContains(t, err, `there is no check called ""`)
	assert.Empty(t, some)
	some, err = Select(" term,reap")
	require.NoError(t, err)
	assert.Equal(t, []string{"reap", "term"}, []string{some[0].Name, some[1].Name})
	some, err = Select("accept-errors, accept-short")
	require.NoError(t, err)
	assert.Len(t, some, 3)
	assert.Equal(t, "accept-errors is now accept-aborted, accept-emfile and accept-short", Renamed("reap, accept-errors"))
	assert.Empty(t, Renamed("reap,accept-short"))
	_, err = Select("reap,raep")
	assert.ErrorContains(t, err, `there is no check called "raep"; the checks are reap, `)

	names := map[string]bool{}
	for _, check := range All() {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, check.Name)
		assert.False(t, names[check.Name], check.Name)
		names[check.Name] = true
		assert.NotEmpty(t, check.Meaning, check.Name)
	}
}
