// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, text, 0o666))
		return path
	}
	var text bytes.Buffer
	require.NoError(t, example().WriteJSON(&text))
	right := write("right.json", text.Bytes())
	table, err := Read(right)
	require.NoError(t, err)
	assert.True(t, IsTable(right))
	var a, b bytes.Buffer
	require.NoError(t, example().WriteMarkdown(&a, again))
	require.NoError(t, table.WriteMarkdown(&b, again))
	assert.Equal(t, a.String(), b.String(), "nothing is lost in the file")

	for name, v := range map[string]struct {
		text, says string
		isTable    bool
	}{
		"empty.json":   {"", "is not a table of kernels: unexpected end of JSON input: give a file that forkrig kernels -json has written", false},
		"card.json":    {`{"schema":2,"checks":[]}`, "is not a table of kernels: it has no schema or no kernel", false},
		"new.json":     {`{"schema":99,"kernels":[{}]}`, "has schema 99, this forkrig knows up to 1: use a newer one", true},
		"none.json":    {`{"schema":1,"kernels":[]}`, "is not a table of kernels: it has no schema or no kernel", true},
		"without.json": {`{"kernels":[{}]}`, "is not a table of kernels: it has no schema or no kernel", true},
		"bind.json":    {`{"schema":1,"kernels":[{"binds":["bound"]}]}`, `no row of the bind table: "bound"`, true},
		"twice.json":   {text.String() + text.String(), "invalid character", false},
	} {
		path := write(name, []byte(v.text))
		_, err := Read(path)
		assert.ErrorContains(t, err, path, name)
		assert.ErrorContains(t, err, v.says, name)
		assert.Equal(t, v.isTable, IsTable(path), name)
	}
	_, err = Read(filepath.Join(dir, "missing.json"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = Read(dir)
	assert.ErrorContains(t, err, "is not a regular file")
}

func TestMerge(t *testing.T) {
	a, b := tableOf(column("6.12", "K15=0")), tableOf(column("7.3", "K15=1"), column(Host, "K15=1"))
	a.Made, b.Made = "2026-11-30", "2026-11-29"
	all, err := Merge(a, b)
	require.NoError(t, err)
	assert.Equal(t, "2026-11-30", all.Made)
	require.Len(t, all.Kernels, 3)
	rows, _ := all.Probes()
	assert.Equal(t, []string{"0", "1", "1"}, cellsOf(rows, "K15"))
	assert.Len(t, a.Kernels, 1, "the arguments are as they were")

	// This kernel of two machines is there twice, where it is not the same release.
	other := tableOf(Column{Kernel: Host, Release: "6.1.1"})
	all, err = Merge(b, other)
	require.NoError(t, err)
	assert.Len(t, all.Kernels, 3)

	_, err = Merge(a, b, a)
	assert.ErrorContains(t, err, "two tables have the kernel 6.12: omit one of them")
	foreign := a
	foreign.Subject = "./server"
	_, err = Merge(b, foreign)
	assert.ErrorContains(t, err, `different subjects: "" and "./server"`)
	_, err = Merge()
	assert.ErrorContains(t, err, "no kernel")
}
