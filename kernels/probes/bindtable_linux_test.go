// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"embed"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

var update = flag.Bool("update", false, "write to testdata in which rows of the bind table the running kernel differs from most")

// TestBindTable compares the bind table of the running kernel with the one that is known of its series, and
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

	if *update {
		updateTable(t, rows)
		return
	}
	for _, difference := range Differences(knownTable(t, series(t)), rows) {
		t.Errorf("%s (known of %s, and this kernel)", difference, series(t))
	}
}

// known are the bind table that most series of kernels have, bind.txt, and for each other series the
// rows in which it differs, such as bind-6.1.txt. They are in the binary, which runs in guests, too.
//
//go:embed testdata
var known embed.FS

func knownRows(t *testing.T, name string) []BindRow {
	text, err := known.ReadFile("testdata/" + name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	return readTable(t, string(text))
}

// knownTable returns the bind table of a series.
func knownTable(t *testing.T, series string) []BindRow {
	own := map[string]BindRow{}
	for _, row := range knownRows(t, "bind-"+series+".txt") {
		own[row.key()] = row
	}
	all := knownRows(t, "bind.txt")
	require.Len(t, all, 2*len(states)*len(addresses)*len(addresses))
	for i, row := range all {
		if ours, differs := own[row.key()]; differs {
			require.NotEqual(t, row, ours, "a row in which %s does not differ", series)
			all[i] = ours
		}
	}
	return all
}

// updateTable writes the rows in which the running kernel differs from most.
func updateTable(t *testing.T, rows []BindRow) {
	most := map[string]BindRow{}
	for _, row := range knownRows(t, "bind.txt") {
		most[row.key()] = row
	}
	path := "testdata/bind-" + series(t) + ".txt"
	differs := slices.DeleteFunc(rows, func(row BindRow) bool { return row == most[row.key()] })
	if len(differs) > 0 {
		require.NoError(t, os.WriteFile(path, tableText(t, differs), 0o666))
	} else if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
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
