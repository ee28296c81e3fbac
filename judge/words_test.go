// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

func TestSplitWords(t *testing.T) {
	for line, words := range map[string][]string{
		"":                           nil,
		" \t\n":                      nil,
		"server":                     {"server"},
		"  server  -p\t9 ":           {"server", "-p", "9"},
		`'one word' "and one"`:       {"one word", "and one"},
		`a'b'"c"d`:                   {"abcd"},
		`'' ""`:                      {"", ""},
		`a\ b \\ \'`:                 {"a b", `\`, "'"},
		`"a \"b\" \\ \x \$HOME"`:     {`a "b" \ \x $HOME`},
		`'$HOME \n'`:                 {`$HOME \n`},
		"$HOME *.go | wc # ; `id` &": {"$HOME", "*.go", "|", "wc", "#", ";", "`id`", "&"},
		"a\\\nb":                     {"ab"},
		"\"a\\\nb\"":                 {"ab"},
		`socat TCP-LISTEN:{port},bind={ip},fork 'SYSTEM:"cat -v"'`: {"socat", "TCP-LISTEN:{port},bind={ip},fork", `SYSTEM:"cat -v"`},
	} {
		got, err := SplitWords(line)
		require.NoError(t, err, line)
		assert.Equal(t, words, got, line)
	}
	for line, message := range map[string]string{
		`server 'half`:   "single quote",
		`server "half`:   "double quote",
		`server "half\"`: "double quote",
		`server \`:       "backslash",
	} {
		_, err := SplitWords(line)
		assert.ErrorContains(t, err, message, line)
	}
}

// FuzzSplitWords: what was split and is written as for a shell splits the same
// way again.
func FuzzSplitWords(f *testing.F) {
	for _, line := range []string{"server -p 9", `'a b' "c \"d"`, `a\ b`, "'", `"\`, "a\\\nb", "''"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := SplitWords(line)
		if err != nil || len(words) == 0 {
			return
		}
		again, err := SplitWords(rig.Command{Args: words}.String())
		require.NoError(t, err)
		require.Equal(t, words, again)
	})
}
