// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"context"
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

// QEMU boots kernels for virtual machines on x86-64, with KVM where that works and by emulation
// elsewhere.
type QEMU struct {
	// Program is the path of qemu-system-x86_64.
	Program string
	// Libraries are those that it runs with, where it is not installed.
	Libraries Libraries
	// Data are the directories with its firmware, where it is not installed.
	Data []string
	// NoKVM has it emulate the processor also where KVM is.
	NoKVM bool
}

// InstalledQEMU returns the QEMU in PATH. The error is [exec.ErrNotFound] where there is none.
func InstalledQEMU() (QEMU, error) {
	path, err := exec.LookPath("qemu-system-x86_64")
	return QEMU{Program: path}, err
}

// The guest's first file system.
const (
	guestInit    = "/init"
	guestPlan    = "/forkrig/plan.json"
	guestModules = "/forkrig/modules"
)

// descriptors of the monitor, after the standard ones.
const (
	recordsFD = 3
	initrdFD  = 4
)

func (q QEMU) command(ctx context.Context, dir string, k Kernel, g Guest) (*exec.Cmd, plan, error) {
	modules, absent, err := modulesOf(ctx, k, g)
	if err != nil {
		return nil, plan{}, err
	}
	p := plan{Line: "/dev/ttyS1", Jobs: g.Jobs, Output: g.OutputLimit, Absent: absent}
	for i, m := range modules {
		p.Modules = append(p.Modules, fmt.Sprintf("%s/%02d-%s.ko", guestModules, i, m.name))
	}
	initrd, err := writeInitrd(dir, g, p, modules)
	if err != nil {
		return nil, p, err
	}
	cmd := q.Libraries.run(q.Program, q.args(k, g)...)
	cmd.ExtraFiles = []*os.File{recordsFD - 3: nil, initrdFD - 3: initrd}
	return cmd, p, nil
}

func (q QEMU) args(k Kernel, g Guest) []string {
	// With several threads QEMU 7.2 executes jump labels while they are patched (its bug, seen
	// as int3 oopses of guests that change nftables rules).
	accelerators := []string{"-accel", "tcg,thread=single"}
	if !q.NoKVM && hasKVM() {
		accelerators = append([]string{"-accel", "kvm"}, accelerators...) // the first that starts
	}
	parameters := []string{
		"console=ttyS0,115200", "loglevel=5", "panic=-1", "oops=panic", "random.trust_cpu=on",
		"rdinit=" + guestInit,
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
		"-machine", "pc", "-cpu", "max",
		"-m", fmt.Sprint(g.MemoryMiB), "-smp", fmt.Sprint(g.Processors),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("file,id=records,path=/proc/self/fd/%d", recordsFD), "-serial", "chardev:records",
		"-kernel", k.Image, "-initrd", fmt.Sprintf("/proc/self/fd/%d", initrdFD),
		"-append", strings.Join(slices.Concat(parameters, g.Parameters, initArgs(guestPlan)), " "),
	}
	for _, data := range q.Data {
		args = append(args, "-L", data)
	}
	return append(args, accelerators...)
}

// hasKVM says whether KVM can run guests. There are machines whose /dev/kvm opens and whose
// processor shows no virtualisation: guests end there with an internal error of KVM.
func hasKVM() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	info, _ := os.ReadFile("/proc/cpuinfo") // without /proc it is emulated
	for line := range strings.Lines(string(info)) {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			words := strings.Fields(flags)
			return slices.Contains(words, "vmx") || slices.Contains(words, "svm")
		}
	}
	return false
}

// run returns a command that starts a program with these libraries.
func (l Libraries) run(program string, args ...string) *exec.Cmd {
	if l.Loader == "" {
		return exec.Command(program, args...)
	}
	return exec.Command(l.Loader, append([]string{"--library-path", strings.Join(l.Dirs, ":"), program}, args...)...)
}

func modulesOf(ctx context.Context, k Kernel, g Guest) ([]module, []string, error) {
	if k.Modules == "" {
		return nil, g.Modules, nil
	}
	return findModules(ctx, k.Modules, g.Modules)
}

// writeInitrd writes the guest's first file system and returns it, open and without a name.
func writeInitrd(dir string, g Guest, p plan, modules []module) (*os.File, error) {
	path := filepath.Join(dir, "initrd")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer f.Close()
	if err := writeFiles(f, g, p, modules); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The kernel unpacks the file into the same memory.
	if size := info.Size() >> 20; 3*size > int64(g.MemoryMiB) {
		return nil, fmt.Errorf("the guest's files have %d MiB: give it at least %d MiB of memory", size, 3*size)
	}
	return os.Open(path)
}

func writeFiles(w io.Writer, g Guest, p plan, modules []module) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	c := newCPIO(w)
	t := newTree(c)
	for _, dir := range []string{"proc", "sys", "dev", "run", "root", "etc"} {
		c.dir(dir, 0o755)
	}
	c.dir("tmp", os.ModeSticky|0o777)
	c.device("dev/console", 5, 1)
	c.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	c.text("etc/group", "root:x:0:\nnogroup:x:65534:\n")
	c.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
	c.text(guestPlan, string(text))
	for i, m := range modules {
		c.file(p.Modules[i], 0o644, int64(len(m.data)), bytes.NewReader(m.data))
	}
	err = t.addFile(guestInit, g.Init)
	for _, path := range g.Files {
		err = errors.Join(err, t.add(path))
	}
	return errors.Join(err, c.close())
}
