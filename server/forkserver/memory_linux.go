// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory keeps from the workers what they do not need: the Go heap, the Go runtime's tables
// and the program's variables. A fork copies the page tables of everything it shares and
// makes the next write to each page a fault, in the server too.
//
// A forked worker touches the program's text, the variable buffer, and the stack it was forked
// on, which is part of the heap. Only these are shared. docs/benchmarks.md has the figures.
type memory struct {
	trimmed     bool
	page        uintptr // size of a page in bytes
	first, last uintptr // first and last page of the shared stack
}

// trim makes the server's memory private, except for the text of the program and its
// constants. The effect is only on speed: where it cannot be done, all is shared.
//
// Variables that start as zero, which buffer is one of, are zero in a worker again. Other
// variables are not there at all.
//
// It does nothing where a shared library is loaded. There, the C library's
// thread area must exist in a worker, because the kernel writes to it
// (rseq(2)), and it looks like any other memory.
func (m *memory) trim() error {
	m.page = uintptr(os.Getpagesize())
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()

	var private []span
	var image string     // path of the program
	var imageEnd uintptr // where its last mapping ends
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // address perms offset device inode [path]
		s := span{advice: unix.MADV_DONTFORK}
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &s.start, &s.end); err != nil {
			return fmt.Errorf("parse /proc/self/maps: %w", err)
		}
		path := strings.Join(fields[5:], " ")
		switch {
		case strings.HasPrefix(path, "/"):
			if image != "" && path != image {
				return nil
			}
			image, imageEnd = path, s.end
			if fields[1][1] != 'w' || s.has(&buffer) {
				continue
			}
		case path == "" && s.start == imageEnd: // variables that start as zero
			imageEnd = s.end
			s.advice = unix.MADV_WIPEONFORK
		case path == "" || strings.HasPrefix(path, "[anon: Go:"):
		default:
			continue
		}
		private = append(private, s)
	}
	for _, s := range private {
		if errno := advise(s.start, s.end, s.advice); errno != 0 {
			return os.NewSyscallError("madvise", errno)
		}
		m.trimmed = true
	}
	return nil
}

// span is a part of the address space, and what to ask the kernel about it.
type span struct{ start, end, advice uintptr }

// has reports whether any part of b is in s.
func (s span) has(b *[bufferBytes]byte) bool {
	start := uintptr(unsafe.Pointer(b))
	return start < s.end && s.start < start+bufferBytes
}

// share makes sure that a worker forked now has the stack around address sp.
// A stack may have moved since the last fork, but it cannot move between this
// call and the fork: both are made by one function that is nosplit and runs
// with all signals blocked.
//
//go:nosplit
//go:norace
func (m *memory) share(sp uintptr) {
	// Above sp lies the frame of the function that forks, below it those of the
	// functions it calls: less than a page each, or the linker would refuse nosplit.
	first, last := (sp-m.page)&^(m.page-1), (sp+m.page)&^(m.page-1)
	if m.trimmed && (first != m.first || last != m.last) {
		m.first, m.last = first, last
		advise(first, last+m.page, unix.MADV_DOFORK)
	}
}

//go:nosplit
//go:norace
func advise(start, end uintptr, advice uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_MADVISE, start, end-start, advice, 0, 0, 0)
	return errno
}
