// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed reads an archive as the kernel does: each file as its mode and its content.
func listed(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	aligned := func(n int) int { return (n + 3) &^ 3 }
	for rest := archive; ; {
		require.Equal(t, "070701", string(rest[:6]))
		field := func(i int) int {
			n, err := strconv.ParseUint(string(rest[6+8*i:14+8*i]), 16, 32)
			require.NoError(t, err)
			return int(n)
		}
		const mode, size, major, minor, nameSize, header = 1, 6, 9, 10, 11, 110
		name := string(rest[header : header+field(nameSize)-1])
		if name == "TRAILER!!!" {
			return files
		}
		begin := aligned(header + field(nameSize))
		data := string(rest[begin : begin+field(size)])
		require.NotContains(t, files, name)
		files[name] = fmt.Sprintf("%o %s", field(mode), data)
		if field(major) > 0 {
			files[name] = fmt.Sprintf("%o %d:%d", field(mode), field(major), field(minor))
		}
		rest = rest[aligned(begin+field(size)):]
	}
}

func TestCPIO(t *testing.T) {
	var b bytes.Buffer
	c := newCPIO(&b)
	c.dir("/tmp", os.ModeSticky|0o777)
	c.device("dev/console", 5, 1)
	c.text("/etc/deep/er/file", "four")
	c.text("etc/deep/other", "text\n")
	c.link("bin", "usr/bin")
	require.NoError(t, c.close())
	assert.Zero(t, b.Len()%4)
	assert.Equal(t, map[string]string{
		"tmp": "41777 ", "dev": "40755 ", "dev/console": "20600 5:1", "etc": "40755 ", "etc/deep": "40755 ", "etc/deep/er": "40755 ",
		"etc/deep/er/file": "100644 four", "etc/deep/other": "100644 text\n", "bin": "120777 usr/bin",
	}, listed(t, b.Bytes()))

	c = newCPIO(&b)
	c.file("x", 0o644, 10, strings.NewReader("short"))
	require.ErrorContains(t, c.close(), "5 of 10 bytes")
}

// TestTree has links in a path, a link in a directory, a script and a program with libraries.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	dir, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	lib := filepath.Join(dir, "usr/lib")
	loader := put(t, dir, "usr/lib/ld.so", elfFile{kind: elf.ET_DYN}.bytes())
	put(t, dir, "usr/lib/libouter.so.1", elfFile{kind: elf.ET_DYN, needed: []string{"libinner.so"}, runpath: "$ORIGIN/own"}.bytes())
	put(t, dir, "usr/lib/own/libinner.so", elfFile{kind: elf.ET_DYN}.bytes())
	program := put(t, dir, "opt/program", elfFile{kind: elf.ET_EXEC, loader: filepath.Join(dir, "lib/ld.so"), needed: []string{"libouter.so.1"}}.bytes())
	script := put(t, dir, "opt/data/script", []byte("#!"+program+" -x\n"))
	require.NoError(t, os.Symlink("usr/lib", filepath.Join(dir, "lib")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "opt/data/dangling")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "opt"), filepath.Join(dir, "absolute")))

	var b bytes.Buffer
	c := newCPIO(&b)
	tree := newTree(c)
	tree.search = librarySearch{[]string{lib}}
	require.NoError(t, tree.add(filepath.Join(dir, "absolute/data")))
	require.NoError(t, tree.add(script), "again")
	require.NoError(t, c.close())
	files := listed(t, b.Bytes())
	at := func(path string) string { return strings.TrimPrefix(filepath.Join(dir, path), "/") }
	for _, path := range []string{"opt/data/script", "opt/program", "usr/lib/ld.so", "usr/lib/libouter.so.1", "usr/lib/own/libinner.so"} {
		assert.Contains(t, files, at(path))
	}
	assert.Equal(t, "120777 usr/lib", files[at("lib")])
	assert.Equal(t, "120777 nowhere", files[at("opt/data/dangling")])
	assert.Equal(t, "120777 "+filepath.Join(dir, "opt"), files[at("absolute")])
	assert.FileExists(t, loader)

	require.ErrorContains(t, tree.add("relative"), "not absolute")
	require.ErrorIs(t, tree.add(filepath.Join(dir, "absent")), os.ErrNotExist)
	lonely := put(t, dir, "opt/lonely", elfFile{kind: elf.ET_EXEC, needed: []string{"libabsent.so"}}.bytes())
	require.EqualError(t, tree.add(lonely), lonely+": library libabsent.so is in none of "+lib)
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	require.ErrorContains(t, tree.add(filepath.Join(dir, "loop")), "too many symbolic links")
}

func TestSystemLibraries(t *testing.T) {
	root := t.TempDir()
	put(t, root, "etc/ld.so.conf", []byte("# a comment\n/first\ninclude ld.so.conf.d/*.conf\ninclude /etc/ld.so.conf\n"))
	put(t, root, "etc/ld.so.conf.d/a.conf", []byte("/usr/local/lib # more\n"))
	dirs := systemLibraries(root).dirs
	assert.Equal(t, []string{"/first", "/usr/local/lib"}, dirs[:2])
	assert.Contains(t, dirs, "/usr/lib")
	assert.Equal(t, []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}, systemLibraries(t.TempDir()).dirs)
}

func TestInterpreter(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /usr/bin/env python3\nx": "/usr/bin/env", "#!/bin/sh": "/bin/sh",
		"#!sh\n": "", "#!\n": "", "": "", "text": "", "#!/x" + strings.Repeat("y", 1<<20): "/x" + strings.Repeat("y", 252),
	} {
		assert.Equal(t, want, interpreter(strings.NewReader(text)), "%.40q", text)
	}
}
