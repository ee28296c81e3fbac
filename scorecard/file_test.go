// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names are those of all files in a directory, hidden ones too.
func names(t *testing.T, dir string) (all []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func modeOf(t *testing.T, name string) os.FileMode {
	info, err := os.Lstat(name)
	require.NoError(t, err)
	return info.Mode()
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "card.json")
	require.NoError(t, WriteFile(name, cards["right"]))
	assert.Equal(t, []string{"card.json", "card.md"}, names(t, dir))
	plain := filepath.Join(dir, "plain")
	writeText(t, plain, "")
	assert.Equal(t, modeOf(t, plain), modeOf(t, name), "the mode of any new file")

	// What is there keeps its mode, and a link stays one.
	require.NoError(t, os.Chmod(name, 0o640))
	link := filepath.Join(t.TempDir(), "link.json")
	require.NoError(t, os.Symlink(name, link))
	require.NoError(t, WriteFile(link, cards["wrong"]))
	assert.Equal(t, os.FileMode(0o640), modeOf(t, name))
	assert.NotZero(t, modeOf(t, link)&os.ModeSymlink)
	assert.Equal(t, []string{"link.json", "link.md"}, names(t, filepath.Dir(link)))
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	card, err := Parse(bytes.NewReader(content))
	require.NoError(t, err)
	assert.Equal(t, cards["wrong"], card)

	// What a link leads to is made.
	require.NoError(t, os.Remove(name))
	require.NoError(t, WriteFile(link, cards["wrong"]))
	assert.NotZero(t, modeOf(t, link)&os.ModeSymlink)
	assert.FileExists(t, name)
}

// TestWriteFileIsAtomic: one reads the file all the time while another writes it.
func TestWriteFileIsAtomic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "card.json")
	require.NoError(t, WriteFile(name, cards["empty"]))
	var writing sync.WaitGroup
	ended := make(chan struct{})
	writing.Go(func() {
		defer close(ended)
		for i := range 100 {
			assert.NoError(t, WriteFile(name, cards[[]string{"empty", "wrong"}[i%2]]))
		}
	})
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
		}
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		_, err = Parse(bytes.NewReader(content))
		require.NoError(t, err)
	}
	writing.Wait()
	assert.Equal(t, []string{"card.json", "card.md"}, names(t, filepath.Dir(name)))
}

func TestWriteFileOfOtherKinds(t *testing.T) {
	require.NoError(t, WriteFile(os.DevNull, cards["right"]))
	assert.NoFileExists(t, os.DevNull+".md")

	dir := t.TempDir()
	name := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	read := make(chan []byte)
	go func() {
		file, err := os.Open(name)
		if assert.NoError(t, err) {
			content, err := io.ReadAll(file)
			assert.NoError(t, err)
			assert.NoError(t, file.Close())
			read <- content
		}
		close(read)
	}()
	require.NoError(t, WriteFile(name, cards["right"]))
	golden(t, "right.json", <-read)
	assert.Equal(t, []string{"pipe"}, names(t, dir))
}

// TestWriteFileToStandardOutput: what is written there before and afterwards stays,
// also where it is a regular file.
func TestWriteFileToStandardOutput(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer file.Close()
	defer func(old *os.File) { os.Stdout = old }(os.Stdout)
	os.Stdout = file
	_, err = file.WriteString("before\n")
	require.NoError(t, err)
	require.NoError(t, WriteFile(file.Name(), cards["empty"]))
	_, err = file.WriteString("after\n")
	require.NoError(t, err)
	content, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	card, err := testdata.ReadFile("testdata/empty.json")
	require.NoError(t, err)
	assert.Equal(t, "before\n"+string(card)+"after\n", string(content))
	assert.Equal(t, []string{"out"}, names(t, filepath.Dir(file.Name())))
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "taken.json"), 0o777))
	writeText(t, filepath.Join(dir, "other.md"), "# Notes\n")
	for name, want := range map[string]string{
		"card.md":            "is the name for the Markdown: give the name of the JSON, such as " + dir + "/card.json",
		"no/card.json":       "no such file or directory",
		"taken.json":         "is a directory",
		"other.json":         dir + "/other.md would be replaced by the Markdown of the card, and is something else",
		"no/../card.json":    dir + "/no/../card.json: no such file or directory",
		"taken.json/../no/x": "no such file or directory",
	} {
		err := WriteFile(dir+"/"+name, cards["right"])
		require.ErrorContains(t, err, "write scorecard: ")
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "/.forkrig", "the name of a temporary file")
	}
	assert.ErrorContains(t, WriteFile(filepath.Join(dir, "invalid.json"), cards["hostile"]), `verdict "odd" is unknown`)
	assert.Equal(t, []string{"other.md", "taken.json"}, names(t, dir), "no temporary file is left")
}

// TestWriteFileKeepsTheOwner: who judges with sudo may still write the own file afterwards.
func TestWriteFileKeepsTheOwner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "card.json")
	writeText(t, name, "")
	owner := os.Geteuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(name, owner, owner); err != nil {
			t.Skipf("root may not give files away here, as in a user namespace: %v", err)
		}
	}
	require.NoError(t, WriteFile(name, cards["right"]))
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.EqualValues(t, owner, info.Sys().(*syscall.Stat_t).Uid)
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	golden(t, "right.json", content)
}

// TestWriteFileInAnothersDirectory: a file may be writable where its directory is not.
func TestWriteFileInAnothersDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write into every directory; an ordinary user runs this test")
	}
	dir := t.TempDir()
	for _, name := range []string{"card.json", "card.md"} {
		writeText(t, filepath.Join(dir, name), "")
	}
	require.NoError(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { assert.NoError(t, os.Chmod(dir, 0o755)) })
	require.NoError(t, WriteFile(filepath.Join(dir, "card.json"), cards["right"]))
	for _, name := range []string{"card.json", "card.md"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		golden(t, "right"+filepath.Ext(name), content)
	}
}
