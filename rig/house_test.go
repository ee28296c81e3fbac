package rig

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRoomsKnowOnlyWhoTheyMay reads the imports of every source file: rig,
// server and client know nobody, and only scenarios knows them.
func TestRoomsKnowOnlyWhoTheyMay(t *testing.T) {
	if _, err := os.Stat("../go.mod"); errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	rooms := []string{"rig", "server", "client", "scenarios"}
	read := 0
	for _, room := range rooms[:3] {
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
				for _, other := range rooms {
					assert.False(t, other != room && (name == "forkrig/"+other || strings.HasPrefix(name, "forkrig/"+other+"/")),
						"%s imports %s: %s may know nobody", path, name, room)
				}
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
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			switch name, _ := strconv.Unquote(spec.Path.Value); name {
			case "unsafe", "golang.org/x/sys/unix", "github.com/vishvananda/netns":
				assert.True(t, strings.HasSuffix(path, "_linux.go") || strings.HasSuffix(path, "_linux_test.go"),
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
