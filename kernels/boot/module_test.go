// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ko(depends string) []byte {
	return elfFile{kind: elf.ET_REL, modinfo: "license=GPL\x00depends=" + depends + "\x00name=x\x00"}.bytes()
}

func TestFindModules(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "kernel/drivers/net/veth.ko", ko(""))
	put(t, dir, "kernel/net/ipv6/ipv6.ko", ko("crc-ccitt"))
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(ko("nfnetlink,libcrc32c"))
	w.Close()
	put(t, dir, "kernel/net/nf_tables.ko.gz", z.Bytes())
	put(t, dir, "kernel/net/nfnetlink.ko", ko(""))
	put(t, dir, "kernel/lib/crc-ccitt.ko", ko(""))
	put(t, dir, "kernel/lib/libcrc32c.ko", ko("nf_tables")) // a circle ends
	put(t, dir, "modules.builtin", []byte("kernel/net/unix/unix-diag.ko\n"))

	found, absent, err := findModules(t.Context(), dir, []string{"veth", "nf_tables", "ipv6", "crc_ccitt", "unix_diag", "sch_netem"})
	require.NoError(t, err)
	assert.Equal(t, []string{"sch_netem"}, absent)
	var order []string
	for _, m := range found {
		order = append(order, m.name)
		assert.Equal(t, elf.ELFMAG, string(m.data[:4]), m.name)
	}
	assert.Equal(t, []string{"veth", "nfnetlink", "libcrc32c", "nf_tables", "crc_ccitt", "ipv6"}, order)

	put(t, dir, "kernel/broken.ko", []byte("text"))
	_, _, err = findModules(t.Context(), dir, []string{"broken"})
	require.ErrorContains(t, err, "module broken: ")
	_, _, err = findModules(t.Context(), filepath.Join(dir, "absent"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestModuleName(t *testing.T) {
	for path, want := range map[string]string{
		"a/crc-ccitt.ko": "crc_ccitt", "veth.ko.xz": "veth", "veth.ko.zst": "veth", "veth.ko.gz": "veth", "modules.dep": "", "kernel": "", "": "",
	} {
		assert.Equal(t, want, moduleName(path), path)
	}
}

func FuzzDependsOf(f *testing.F) {
	f.Add(ko("a,b"))
	f.Fuzz(func(t *testing.T, data []byte) { dependsOf(data) }) // any answer will do, but no panic
}

// bzImage is the begin of a kernel with the header of a boot loader.
func bzImage(release string) []byte {
	b := make([]byte, 0x1000)
	copy(b[bzMagicAt:], bzMagic)
	binary.LittleEndian.PutUint16(b[bzVersionAt:], 0x300)
	copy(b[0x500:], release+" (debian-kernel@lists.debian.org) #1 SMP\x00")
	return b
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	image := put(t, dir, "bzImage", bzImage("6.12.43+deb12-cloud-amd64"))
	k, kind, err := Open(image + ":/the/modules")
	require.NoError(t, err)
	assert.Equal(t, KindBzImage, kind)
	assert.Equal(t, Kernel{Name: "6.12.43+deb12-cloud-amd64", Image: image, Modules: "/the/modules"}, k)

	image = put(t, dir, "linux:7.2", elfFile{kind: elf.ET_EXEC, section: ".uml.setup.init"}.bytes())
	k, kind, err = Open(image)
	require.NoError(t, err)
	assert.Equal(t, KindUserMode, kind)
	assert.Equal(t, Kernel{Name: "linux:7.2", Image: image}, k)

	cut := bzImage("")
	binary.LittleEndian.PutUint16(cut[bzVersionAt:], 0xffff)
	k, _, err = Open(put(t, dir, "cut", cut[:0x300]))
	require.NoError(t, err)
	assert.Equal(t, "cut", k.Name)
	for name, data := range map[string][]byte{"text": []byte("text"), "program": elfFile{kind: elf.ET_EXEC}.bytes()} {
		_, _, err := Open(put(t, dir, name, data))
		require.ErrorContains(t, err, "it is neither a bzImage nor a User-mode Linux")
	}
	_, _, err = Open(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWithLoader(t *testing.T) {
	dir := t.TempDir()
	program := put(t, dir, "program", elfFile{kind: elf.ET_EXEC, loader: "/lib64/ld-linux-x86-64.so.2", section: ".uml.setup.init"}.bytes())
	to := filepath.Join(dir, "copy")
	const loader = "/a/very/long/path/to/another/loader/in/a/cache/ld-linux-x86-64.so.2"
	require.NoError(t, withLoader(program, to, loader))
	f, err := os.Open(to)
	require.NoError(t, err)
	defer f.Close()
	needs, err := librarySearch{}.needs(to, f)
	require.NoError(t, err)
	assert.Equal(t, []string{loader}, needs)

	static := put(t, dir, "static", elfFile{kind: elf.ET_EXEC}.bytes())
	require.ErrorContains(t, withLoader(static, filepath.Join(dir, "b"), loader), "it names no dynamic loader")
	require.Error(t, withLoader(put(t, dir, "text", []byte("text")), filepath.Join(dir, "c"), loader))
	require.Error(t, withLoader(program, to, loader), "the copy is there")
}
