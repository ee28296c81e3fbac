// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

var update = flag.Bool("update", false, "write the bind table of the running kernel to testdata")

// TestBindTable compares the bind table of the running kernel with the one of its series, and
// with what every kernel answers.
func TestBindTable(t *testing.T) {
	var told []BindRow
	rows, err := BindTable(t.Context(), func(row BindRow) { told = append(told, row) })
	require.NoError(t, err)
	assert.Equal(t, rows, told)
	answers := map[string]string{}
	for _, row := range rows {
		answers[strings.Join(strings.Fields(row.key()), " ")] = row.Answers
	}
	for key, want := range map[string]string{
		"bound same-user 0.0.0.0 ::only":          ".... .... .... ....", // families apart
		"listening same-user 127.0.0.1 ::only":    ".... .... .... ....",
		"bound same-user 127.0.0.1 127.0.0.1":     "bbbb b.b. bb.. b...",
		"listening same-user 127.0.0.1 127.0.0.1": "bbbb bbbb bb.. bb..",

		"listening-later same-user 127.0.0.1 127.0.0.1": "bbbb blbl bb.. bl..",
	} {
		if got, asked := answers[key]; asked {
			assert.Equal(t, want, got, key)
		}
	}
	assert.Equal(t, rig.Rootless(), len(rows) < 2*len(states)*len(addresses)*len(addresses), "%d rows", len(rows))

	path := fmt.Sprintf("testdata/bind-%s.txt", series(t))
	if *update {
		require.NoError(t, os.WriteFile(path, tableText(t, rows), 0o666))
	}
	golden, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Logf("no bind table of this series is known: %s", path)
		return
	}
	require.NoError(t, err)
	for _, difference := range Differences(readTable(t, string(golden)), rows) {
		t.Errorf("%s (%s, this kernel)", difference, path)
	}
}

// series returns the series of the running kernel, such as 6.18.
func series(t *testing.T) string {
	parts := strings.SplitN(rig.Kernel(), ".", 3)
	require.Len(t, parts, 3)
	return parts[0] + "." + parts[1]
}

func tableText(t *testing.T, rows []BindRow) []byte {
	var text []byte
	for _, row := range rows {
		line, err := row.MarshalText()
		require.NoError(t, err)
		text = append(append(text, line...), '\n')
	}
	return text
}

func readTable(t *testing.T, text string) (rows []BindRow) {
	for line := range strings.Lines(text) {
		var row BindRow
		require.NoError(t, row.UnmarshalText([]byte(line)))
		rows = append(rows, row)
	}
	return rows
}

// TestDifferences: each answer that differs is one difference, in words; what only one table
// has is none.
func TestDifferences(t *testing.T) {
	a := readTable(t, "bound same-user 0.0.0.0 :: .... bbbb llll ....\n"+
		"TIME_WAIT other-user ::1 ::1 .... .... .... ....\n"+
		"bound same-user :: :: .... .... .... ....\n")
	b := readTable(t, "TIME_WAIT other-user ::1 ::1 .... .x.. .... ....\n"+
		"bound same-user 0.0.0.0 :: .... bbbb llb. ....\n"+
		"bound same-user ::1 :: .... .... .... ....\n")
	assert.Equal(t, []BindDifference{
		{"0.0.0.0 with REUSEPORT is bound, then :: with REUSEPORT", "listen: EADDRINUSE", "bind: EADDRINUSE"},
		{"0.0.0.0 with REUSEPORT is bound, then :: with both options", "listen: EADDRINUSE", "OK"},
		{"::1 with REUSEADDR is in TIME_WAIT, then ::1 with REUSEADDR of another user", "OK", "another error"},
	}, Differences(a, b))
	assert.Empty(t, Differences(a, a))
}

// FuzzBindRow: a row that is read is written the same way, and read again.
func FuzzBindRow(f *testing.F) {
	f.Add("listening other-user ::ffff:127.0.0.1 ::only bbbb b.b. llx. ....")
	f.Add("bound same-user 0.0.0.0 :: .... .... .... ...")
	f.Fuzz(func(t *testing.T, text string) {
		var row, again BindRow
		if row.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.NoError(t, again.UnmarshalText([]byte(row.String())))
		assert.Equal(t, row, again)
	})
}
