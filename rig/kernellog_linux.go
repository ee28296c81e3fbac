// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"flag"
	"fmt"
	"forkrig/rig/internal/program"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// kernelLog reads the kernel's log for crashes of this binary's processes. Subjects reap
// their workers themselves, so that nothing else says that one of these crashed.
//
// The log is the machine's: a crash in another run of the same build, at the same time,
// is found, too. It has no line about a crash that the program brought about by kill(2)
// or abort(3), and few lines where many programs crash in a short time
// (printk_ratelimit).
type kernelLog struct {
	mu        sync.Mutex
	fd        int // of /dev/kmsg; owned; never closed
	binary    crashedBinary
	expecting map[*Lab]bool // labs in which a crash is expected
	found     []string
}

// crashLog is the kernel's log since the first test. Set before it runs; nil where the
// log cannot be read.
var crashLog *kernelLog

// openKernelLog opens the log at its end. The error is a [MissingError] where the
// kernel or the container refuses.
func openKernelLog() (*kernelLog, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &MissingError{Feature: FeatureKernelLog, Err: os.NewSyscallError("open /dev/kmsg", err),
			Remedy: "run as root with CAP_SYSLOG, or set the sysctl kernel.dmesg_restrict to 0"}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("go to the end of the kernel's log: %w", os.NewSyscallError("lseek", err))
	}
	return &kernelLog{fd: fd, binary: thisBinary(), expecting: map[*Lab]bool{}}, nil
}

// expect forgives crashes from now until the end of the lab.
func (k *kernelLog) expect(l *Lab) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read(l)
	k.expecting[l] = true
}

// endOf notes what was logged until the end of the lab.
func (k *kernelLog) endOf(l *Lab) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read(l)
	delete(k.expecting, l)
}

// err says which crashes were logged and not expected.
func (k *kernelLog) err() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read(nil)
	var found []error
	for _, line := range k.found {
		found = append(found, fmt.Errorf("a process of this program crashed, in this run or in another one of the same build: %s", line))
	}
	return errors.Join(found...)
}

// read takes the lines that came since. It says that the lab was there then; nil means
// that all tests have ended. The caller holds mu.
func (k *kernelLog) read(l *Lab) {
	record := make([]byte, 8<<10) // longer than any: CONSOLE_EXT_LOG_MAX of the kernel
	for {
		n, err := unix.Read(k.fd, record)
		if err == unix.EINTR || err == unix.EPIPE { // EPIPE: lines were overwritten, the next one follows
			continue
		}
		if err != nil {
			return // EAGAIN: that is all
		}
		if line, is := k.binary.crashed(string(record[:n])); is && !k.expected() {
			when := "when all tests had ended"
			if l != nil {
				when = "in a lab of " + l.tb.Name()
			}
			k.found = append(k.found, fmt.Sprintf("%q, read %s", line, when))
		}
	}
}

// expected says whether a lab expects a crash of one of our own programs.
func (k *kernelLog) expected() bool {
	for l := range k.expecting {
		l.mu.Lock()
		for _, p := range l.processes {
			if program.Name(p.Command.Args[0]) != "" {
				l.mu.Unlock()
				return true
			}
		}
		l.mu.Unlock()
	}
	return false
}

// crashedBinary tells lines about this binary from others.
type crashedBinary struct {
	file  string
	sizes map[uint64]bool // of its mappings with code, which tell builds apart
	names map[string]bool // that the kernel has for its processes
}

// crashLine is what the kernel logs of a crash, on any architecture:
//
//	server[71]: segfault at 4 ip 000000000046e8d1 sp 00007ffc error 4 in plain.test[6e8d1,400000+8a000] likely on CPU 1
//	traps: server[71] general protection fault ip:46e8d1 sp:7ffc error:0 in plain.test[400000+8a000]
//	server[71]: unhandled exception: DABT (lower EL), ESR 0x92000046, level 2 translation fault in plain.test[6e8d1,400000+8a000]
var crashLine = regexp.MustCompile(`^(?:traps: )?(.+?)\[\d+\]:? (?:segfault at|general protection|trap |unhandled ).*?` +
	`(?: in (\S+)\[(?:[0-9a-f]+,)?[0-9a-f]+\+([0-9a-f]+)\])?(?: likely on .*)?$`)

// crashed returns the line of a record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg)
// if it is about a crash of the binary: in its code or, where the line names no file, in
// a process with one of its names.
func (b crashedBinary) crashed(record string) (line string, is bool) {
	const firstOfOthers = 8 // priorities below are those of the kernel itself
	prefix, text, found := strings.Cut(record, ";")
	number, _, _ := strings.Cut(prefix, ",")
	priority, err := strconv.Atoi(number)
	if !found || err != nil || priority >= firstOfOthers {
		return "", false
	}
	line, _, _ = strings.Cut(text, "\n")
	parts := crashLine.FindStringSubmatch(line)
	switch {
	case parts == nil:
		return "", false
	case parts[2] == "":
		return line, b.names[parts[1]]
	}
	size, err := strconv.ParseUint(parts[3], 16, 64)
	return line, err == nil && parts[2] == b.file && b.sizes[size]
}

// thisBinary describes the binary that runs.
func thisBinary() crashedBinary {
	const longestName = 15                                                            // PR_SET_NAME(2const)
	b := crashedBinary{sizes: map[uint64]bool{}, names: map[string]bool{"exe": true}} // executed as /proc/self/exe
	path, _ := os.Readlink("/proc/self/exe")                                          // without it no line is about us
	b.file = filepath.Base(strings.TrimSuffix(path, " (deleted)"))
	names := []string{b.file}
	for name := range knownPrograms {
		names = append(names, name)
	}
	for _, name := range names {
		b.names[name[:min(len(name), longestName)]] = true
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for mapping := range strings.Lines(string(maps)) {
		var begin, end uint64
		var rights string
		if n, _ := fmt.Sscanf(mapping, "%x-%x %s", &begin, &end, &rights); n == 3 && strings.Contains(rights, "x") &&
			strings.Contains(mapping, path) {
			b.sizes[end-begin] = true
		}
	}
	return b
}

// verbose says whether the tests were asked to say more (go test -v).
func verbose() bool {
	v := flag.Lookup("test.v")
	return v != nil && v.Value.String() != "false"
}
