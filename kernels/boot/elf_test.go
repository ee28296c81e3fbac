// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// elfFile is a small ELF file of x86-64.
type elfFile struct {
	kind    elf.Type
	loader  string
	needed  []string
	runpath string
	modinfo string // the section .modinfo
	section string // the name of one more section, which is empty
}

// bytes lays out the file: header, program header, contents of sections, section headers.
func (f elfFile) bytes() []byte {
	type section struct {
		name string
		kind elf.SectionType
		link uint32
		data []byte
	}
	text := []byte{0}
	add := func(s string) uint64 {
		at := len(text)
		text = append(append(text, s...), 0)
		return uint64(at)
	}
	var dynamic []byte
	tag := func(t elf.DynTag, value uint64) {
		dynamic = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dynamic, uint64(t)), value)
	}
	for _, name := range f.needed {
		tag(elf.DT_NEEDED, add(name))
	}
	if f.runpath != "" {
		tag(elf.DT_RUNPATH, add(f.runpath))
	}
	tag(elf.DT_NULL, 0)
	const strings = 1
	sections := []section{
		{},
		{".dynstr", elf.SHT_STRTAB, 0, text},
		{".dynamic", elf.SHT_DYNAMIC, strings, dynamic},
	}
	if f.modinfo != "" {
		sections = append(sections, section{".modinfo", elf.SHT_PROGBITS, 0, []byte(f.modinfo)})
	}
	if f.section != "" {
		sections = append(sections, section{f.section, elf.SHT_PROGBITS, 0, []byte{0}})
	}
	names := []byte{0}
	var nameAt []uint32
	for _, s := range append(sections, section{name: ".shstrtab"}) {
		nameAt = append(nameAt, uint32(len(names)))
		names = append(append(names, s.name...), 0)
	}
	sections = append(sections, section{".shstrtab", elf.SHT_STRTAB, 0, names})

	header := elf.Header64{
		Type: uint16(f.kind), Machine: uint16(elf.EM_X86_64), Version: 1,
		Ehsize: 64, Phentsize: 56, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	at := uint64(64)
	loader := []byte(nil)
	if f.loader != "" {
		header.Phoff, header.Phnum = at, 1
		loader = append([]byte(f.loader), 0)
		at += 56 + uint64(len(loader))
	}
	var table []elf.Section64
	var contents []byte
	for i, s := range sections {
		table = append(table, elf.Section64{Name: nameAt[i], Type: uint32(s.kind), Link: s.link, Off: at, Size: uint64(len(s.data))})
		at += uint64(len(s.data))
		contents = append(contents, s.data...)
	}
	header.Shoff = at

	var b bytes.Buffer
	write := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // a buffer takes everything
		}
	}
	write(header)
	if loader != nil {
		size := uint64(len(loader))
		write(elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 56, Filesz: size, Memsz: size})
		b.Write(loader)
	}
	b.Write(contents)
	write(table)
	return b.Bytes()
}

// put writes a file below a directory and returns its path.
func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, data, 0o755))
	return path
}
