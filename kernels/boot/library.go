// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// librarySearch is where the dynamic loader of this machine looks for libraries (ld.so(8)).
type librarySearch struct{ dirs []string }

// systemLibraries reads where libraries are below a root: what /etc/ld.so.conf names, and the
// places that every loader knows.
func systemLibraries(root string) librarySearch {
	dirs := configured(root, "/etc/ld.so.conf", 0)
	return librarySearch{append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib")}
}

const maxIncludes = 4

// configured returns the directories of a configuration file and of those that it includes. A
// file that cannot be read names none.
func configured(root, path string, depth int) []string {
	f, err := os.Open(filepath.Join(root, path))
	if err != nil || depth > maxIncludes {
		return nil
	}
	defer f.Close()
	var dirs []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "include":
			pattern := words[1]
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(path), pattern)
			}
			found, _ := filepath.Glob(filepath.Join(root, pattern)) // a wrong pattern names none
			for _, file := range found {
				dirs = append(dirs, configured(root, strings.TrimPrefix(file, strings.TrimSuffix(root, "/")), depth+1)...)
			}
		case len(words) == 1 && filepath.IsAbs(words[0]):
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}

// needs returns the paths of what has to be there for a file to be executed or loaded: the
// loader and libraries of an ELF file, the interpreter of a script, nothing for any other. What
// a program opens by itself, such as a plug-in, is not known.
func (s librarySearch) needs(path string, r io.ReaderAt) ([]string, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		if by := interpreter(io.NewSectionReader(r, 0, 256)); by != "" {
			return []string{by}, nil
		}
		return nil, nil
	}
	if file.Type != elf.ET_EXEC && file.Type != elf.ET_DYN {
		return nil, nil // an object file, such as a module
	}
	var all []string
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			loader := make([]byte, p.Filesz)
			if _, err := p.ReadAt(loader, 0); err != nil {
				return nil, fmt.Errorf("%s: read the name of its loader: %w", path, err)
			}
			all = append(all, strings.TrimRight(string(loader), "\x00"))
		}
	}
	names, err := file.ImportedLibraries()
	if err != nil {
		return all, fmt.Errorf("%s: read the names of its libraries: %w", path, err)
	}
	dirs := append(ownDirs(path, file), s.dirs...)
	for _, name := range names {
		library, findErr := find(name, dirs, file)
		if findErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", path, findErr))
			continue
		}
		all = append(all, library)
	}
	return all, err
}

// ownDirs returns the directories that a file itself names (DT_RUNPATH, DT_RPATH).
func ownDirs(path string, file *elf.File) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := file.DynString(tag)
		if err != nil {
			continue // it has no dynamic section
		}
		for _, value := range values {
			for dir := range strings.SplitSeq(value, ":") {
				for _, origin := range []string{"$ORIGIN", "${ORIGIN}"} {
					dir = strings.ReplaceAll(dir, origin, filepath.Dir(path))
				}
				if filepath.IsAbs(dir) {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	return dirs
}

// find returns the library of that name for the same kind of machine.
func find(name string, dirs []string, of *elf.File) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		library, err := elf.Open(path)
		if err != nil {
			continue
		}
		same := library.Machine == of.Machine && library.Class == of.Class
		library.Close()
		if same {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of %s", name, strings.Join(dirs, ", "))
}
