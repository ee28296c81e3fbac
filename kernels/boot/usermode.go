// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// UserMode starts User-mode Linux: a kernel that is a program, in which the files of this
// machine are. It has one processor, and its clocks are coarse. It is no sandbox: what is root in
// the guest can write what the user can write here.
type UserMode struct{}

func (UserMode) command(ctx context.Context, dir string, k Kernel, g Guest) (*exec.Cmd, plan, error) {
	modules, absent, err := modulesOf(ctx, k, g)
	if err != nil {
		return nil, plan{}, err
	}
	for _, path := range g.Files { // they are there, where they are here
		if _, err := os.Stat(path); err != nil {
			return nil, plan{}, err
		}
	}
	p := plan{Line: "/dev/tty1", Overlay: true, PowerOff: true, Jobs: g.Jobs, Output: g.OutputLimit, Absent: absent}
	for _, m := range modules {
		path := m.path
		if filepath.Ext(path) != ".ko" {
			path = filepath.Join(dir, m.name+".ko")
			if err := os.WriteFile(path, m.data, 0o600); err != nil {
				return nil, p, err
			}
		}
		p.Modules = append(p.Modules, path)
	}
	planPath := filepath.Join(dir, "plan.json")
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(planPath, text, 0o600)
	}
	if err != nil {
		return nil, p, err
	}
	program := k.Image
	if k.Libraries.Loader != "" {
		program = filepath.Join(dir, "linux.uml")
		if err := withLoader(k.Image, program, k.Libraries.Loader); err != nil {
			return nil, p, err
		}
	}
	// With seccomp, where it has that (Linux 6.16), a process costs half of what it does with
	// ptrace.
	parameters := []string{
		fmt.Sprintf("mem=%dM", g.MemoryMiB), "root=/dev/root", "rootfstype=hostfs", "ro", "loglevel=5", "seccomp=auto",
		"con=null", "con0=null,fd:1", fmt.Sprintf("con1=null,fd:%d", recordsFD),
		"uml_dir=" + dir + "/", "umid=guest", "init=" + g.Init,
	}
	cmd := exec.Command(program, slices.Concat(parameters, g.Parameters, initArgs(planPath))...)
	cmd.ExtraFiles = []*os.File{nil}
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+memoryDir(dir, g.MemoryMiB))
	if len(k.Libraries.Dirs) > 0 {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Join(k.Libraries.Dirs, ":"))
	}
	return cmd, p, nil
}

// withLoader copies a program and has the copy name another dynamic loader. It starts itself
// again by /proc/self/exe, so the loader cannot be started with the program as its argument.
//
// The name is put at the end of the file: the kernel reads it where the header PT_INTERP says,
// which need be in no segment (load_elf_binary in fs/binfmt_elf.c).
func withLoader(from, to, loader string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, err := io.Copy(out, in)
	if err != nil {
		return err
	}
	var header elf.Header64
	if err := binary.Read(io.NewSectionReader(in, 0, size), binary.LittleEndian, &header); err != nil {
		return fmt.Errorf("%s: read the ELF header: %w", from, err)
	}
	if string(header.Ident[:elf.EI_VERSION]) != elf.ELFMAG+"\x02\x01" {
		return fmt.Errorf("%s: it is not a 64-bit ELF file", from)
	}
	for i := range int64(header.Phnum) {
		at := int64(header.Phoff) + i*int64(header.Phentsize)
		var program elf.Prog64
		if err := binary.Read(io.NewSectionReader(in, at, int64(binary.Size(program))), binary.LittleEndian, &program); err != nil {
			return fmt.Errorf("%s: read a program header: %w", from, err)
		}
		if elf.ProgType(program.Type) != elf.PT_INTERP {
			continue
		}
		name := loader + "\x00"
		program.Off, program.Filesz, program.Memsz = uint64(size), uint64(len(name)), uint64(len(name))
		if _, err := out.WriteAt([]byte(name), size); err != nil {
			return err
		}
		return binary.Write(io.NewOffsetWriter(out, at), binary.LittleEndian, program)
	}
	return fmt.Errorf("%s: it names no dynamic loader", from)
}
