package rig

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mayKnow says which rooms a room may import. It may import itself.
var mayKnow = map[string][]string{
	"rig":       nil,
	"server":    nil,
	"client":    nil,
	"scorecard": nil,
	"flake":     nil,
	"judge":     {"rig", "scorecard"},
	"checks":    {"rig", "judge"},
	"search":    {"rig", "judge", "scorecard"},
	"scenarios": {"rig", "server", "client", "scorecard", "judge", "checks", "search"},
}

// TestRoomsKnowOnlyWhoTheyMay reads the imports of every source file.
func TestRoomsKnowOnlyWhoTheyMay(t *testing.T) {
	if _, err := os.Stat("../go.mod"); errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	read := 0
	for room, known := range mayKnow {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			read++
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				inside, ours := strings.CutPrefix(name, "forkrig/")
				other, _, _ := strings.Cut(inside, "/")
				assert.True(t, !ours || other == room || slices.Contains(known, other),
					"%s imports %s: %s may know %v only", path, name, room, known)
			}
			return nil
		})
		require.NoError(t, err)
	}
	assert.Greater(t, read, 30, "source files read")
}

// TestDangerousCallsStayInTheirFiles keeps namespaces, mounts, raw system calls
// and unsafe in files that build on Linux alone.
func TestDangerousCallsStayInTheirFiles(t *testing.T) {
	if _, err := os.Stat("../go.mod"); errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, inside := range []string{"inject/*.go", "fault/*.go"} {
		more, err := filepath.Glob(inside)
		require.NoError(t, err)
		files = append(files, more...)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			switch name, _ := strconv.Unquote(spec.Path.Value); name {
			case "unsafe", "golang.org/x/sys/unix", "github.com/vishvananda/netns":
				assert.True(t, strings.Contains(path, "_linux.") || strings.Contains(path, "_linux_"),
					"%s imports %s: move it to a _linux.go file", path, name)
			}
		}
	}
}

// TestReadmeShowsTheExample compares the README's example with the one that
// compiles and runs.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	require.NoError(t, err)
	source, err := os.ReadFile("example_linux_test.go")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(source), "func TestExample")
	require.True(t, found)
	assert.Contains(t, string(readme), "func TestExample"+example)
}
