// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tree writes files of this machine into a guest's first file system, at the same paths.
type tree struct {
	out     *cpioWriter
	written map[string]bool
	search  librarySearch
}

func newTree(out *cpioWriter) *tree {
	return &tree{out: out, written: map[string]bool{}, search: systemLibraries("/")}
}

// maxLinks is how many symbolic links a path may have, as in the kernel (path_resolution(7)).
const maxLinks = 40

// add writes a file, or a directory with all that is in it. The links that its path leads
// through are written as links, and with a program come its libraries and its interpreter.
func (t *tree) add(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: the path is not absolute", path)
	}
	path = filepath.Clean(path)
	for range maxLinks {
		link, target, err := firstLink(path)
		if err != nil {
			return err
		}
		if link == "" {
			return t.addReal(path)
		}
		if !t.written[link] {
			t.written[link] = true
			t.out.link(link, target)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, strings.TrimPrefix(path, link))
	}
	return fmt.Errorf("%s: too many symbolic links", path)
}

// firstLink returns the first symbolic link on a path and where it leads, or "".
func firstLink(path string) (link, target string, err error) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		target, err := os.Readlink(path[:i])
		if err == nil {
			return path[:i], target, nil
		}
		if errors.Is(err, os.ErrNotExist) {
			return "", "", err
		}
	}
	return "", "", nil
}

// addReal writes what has no link in its path.
func (t *tree) addReal(path string) error {
	if t.written[path] {
		return nil
	}
	t.written[path] = true
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		t.out.dir(path, info.Mode())
		entries, err := os.ReadDir(path)
		for _, e := range entries {
			if e.Type().IsDir() || e.Type().IsRegular() {
				err = errors.Join(err, t.addReal(filepath.Join(path, e.Name())))
			} else if e.Type() == fs.ModeSymlink {
				err = errors.Join(err, t.addLink(filepath.Join(path, e.Name())))
			}
		}
		return err
	case info.Mode().IsRegular():
		return t.addFile(path, path)
	}
	return fmt.Errorf("%s: it is neither a file nor a directory", path)
}

// addLink writes a link that is in a directory, whether or not it leads anywhere.
func (t *tree) addLink(path string) error {
	target, err := os.Readlink(path)
	if err == nil && !t.written[path] {
		t.written[path] = true
		t.out.link(path, target)
	}
	return err
}

// addFile writes a file of this machine under a name, and what the kernel and the loader need
// to execute it.
func (t *tree) addFile(name, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t.out.file(name, info.Mode(), info.Size(), f)
	needs, err := t.search.needs(source, f)
	for _, path := range needs {
		err = errors.Join(err, t.add(path))
	}
	return err
}

// interpreter returns the program that a script names in its first line (execve(2)).
func interpreter(r io.Reader) string {
	line, _ := bufio.NewReaderSize(io.LimitReader(r, 256), 256).ReadString('\n') // a part will do
	line, isScript := strings.CutPrefix(line, "#!")
	if words := strings.Fields(line); isScript && len(words) > 0 && filepath.IsAbs(words[0]) {
		return words[0]
	}
	return ""
}
