// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Kind is what boots a kernel.
type Kind string

// The kinds of kernels.
const (
	KindBzImage  Kind = "bzImage"         // for [QEMU]
	KindUserMode Kind = "User-mode Linux" // for [UserMode]
)

// The header of a bzImage (Documentation/arch/x86/boot.rst).
const (
	bzMagicAt   = 0x202
	bzMagic     = "HdrS"
	bzVersionAt = 0x20e // where the text with the release is, less 0x200
	bzVersionTo = 0x8000
)

// Open returns the kernel that a text names: the path of a bzImage, or of the program of User-mode
// Linux, and after a colon the directory with its modules.
func Open(text string) (Kernel, Kind, error) {
	image, modules := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !isFile(text) {
		image, modules = text[:i], text[i+1:]
	}
	kind, release, err := identify(image)
	if err != nil {
		return Kernel{}, "", fmt.Errorf("open a kernel: %w", err)
	}
	if release == "" {
		release = filepath.Base(image)
	}
	k := Kernel{Name: release}
	if k.Image, err = filepath.Abs(image); err == nil && modules != "" {
		k.Modules, err = filepath.Abs(modules)
	}
	return k, kind, err
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// identify says by the file's content what kind of kernel it is, and for a bzImage which release.
func identify(path string) (kind Kind, release string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	begin := make([]byte, bzVersionTo+0x400)
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	begin = begin[:n]
	if len(begin) > bzVersionAt+2 && string(begin[bzMagicAt:bzMagicAt+len(bzMagic)]) == bzMagic {
		return KindBzImage, bzRelease(begin), nil
	}
	if file, err := elf.NewFile(f); err == nil && isUserMode(file) {
		return KindUserMode, "", nil
	}
	return "", "", fmt.Errorf("%s: it is neither a bzImage nor a User-mode Linux", path)
}

func bzRelease(begin []byte) string {
	at := int(binary.LittleEndian.Uint16(begin[bzVersionAt:])) + 0x200
	if at >= len(begin) {
		return ""
	}
	text, _, found := bytes.Cut(begin[at:], []byte{0})
	if words := strings.Fields(string(text)); found && len(words) > 0 {
		return words[0]
	}
	return ""
}

// isUserMode says whether an ELF file has the sections of User-mode Linux
// (arch/um/include/asm/common.lds.S).
func isUserMode(file *elf.File) bool {
	for _, s := range file.Sections {
		if strings.HasPrefix(s.Name, ".uml.") {
			return true
		}
	}
	return false
}
