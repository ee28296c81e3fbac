// SPDX-License-Identifier: Apache-2.0

// Package crashlog reads the kernel's log for crashes of this binary's processes. Subjects
// reap their workers themselves, so that nothing else says that one of these crashed.
package crashlog

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Log is the kernel's log since it was opened. It is not safe for concurrent use.
//
// The log is the machine's: a crash in another run of the same build, at the same time,
// is found, too. It has no line about a crash that the program brought about by kill(2)
// or abort(3), and few lines where many programs crash in a short time
// (printk_ratelimit).
type Log struct {
	fd     int // of /dev/kmsg; owned; never closed
	binary crashedBinary
}

// Open opens the log at its end. programs are the names that processes of this binary
// may have. An error of the system call open says that the kernel or the container refuses.
func Open(programs []string) (*Log, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/kmsg", err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("go to the end of the kernel's log: %w", os.NewSyscallError("lseek", err))
	}
	return &Log{fd: fd, binary: thisBinary(programs)}, nil
}

// Read returns the lines about crashes that came since the last call.
func (l *Log) Read() (crashes []string) {
	record := make([]byte, 8<<10) // longer than any: CONSOLE_EXT_LOG_MAX of the kernel
	for {
		n, err := unix.Read(l.fd, record)
		if err == unix.EINTR || err == unix.EPIPE { // EPIPE: lines were overwritten, the next one follows
			continue
		}
		if err != nil {
			return crashes // EAGAIN: that is all
		}
		if line, is := l.binary.crashed(string(record[:n])); is {
			crashes = append(crashes, line)
		}
	}
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
//
// It is compiled when it is first needed, which it is in no helper program.
var crashLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:traps: )?(.+?)\[\d+\]:? (?:segfault at|general protection|trap |unhandled ).*?` +
		`(?: in (\S+)\[(?:[0-9a-f]+,)?[0-9a-f]+\+([0-9a-f]+)\])?(?: likely on .*)?$`)
})

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
	parts := crashLine().FindStringSubmatch(line)
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
func thisBinary(programs []string) crashedBinary {
	const longestName = 15                                                            // PR_SET_NAME(2const)
	b := crashedBinary{sizes: map[uint64]bool{}, names: map[string]bool{"exe": true}} // executed as /proc/self/exe
	path, _ := os.Readlink("/proc/self/exe")                                          // without it no line is about us
	b.file = filepath.Base(strings.TrimSuffix(path, " (deleted)"))
	for _, name := range append(programs, b.file) {
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
