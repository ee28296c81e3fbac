// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"forkrig/rig/internal/syscalls"
)

// blocked is a thread in a system call, as /proc/PID/task/TID/syscall shows it.
type blocked struct {
	name      string
	wait      syscalls.Wait
	arguments [6]uint64
}

// parseBlocked reads a line of that file: the number of the call and its six arguments, or a
// word where the thread is in no call.
func parseBlocked(line string) (b blocked, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 7 {
		return b, false
	}
	number, err := strconv.Atoi(fields[0])
	if err != nil {
		return b, false
	}
	for i := range b.arguments {
		b.arguments[i], _ = strconv.ParseUint(strings.TrimPrefix(fields[1+i], "0x"), 16, 64)
	}
	b.name, _ = syscalls.Name(number)
	b.wait, ok = syscalls.WaitOf(int32(number))
	return b, ok
}

// timed says whether the call ends after a time by itself.
func (b blocked) timed() bool {
	return b.wait.Sleep || b.wait.Milliseconds != 0 && int32(b.arguments[b.wait.Milliseconds]) >= 0 ||
		b.wait.Timeout != 0 && b.arguments[b.wait.Timeout] != 0
}

// eachBlocked calls see with each thread of a process that is in a call, until it says no.
func eachBlocked(pid int, see func(blocked) bool) error {
	files, err := filepath.Glob(pathOf(procRoot, pid, "task", "*", "syscall"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if isGone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what process %d waits for: %w", pid, err)
		}
		if b, ok := parseBlocked(string(text)); ok && !see(b) {
			return nil
		}
	}
	return nil
}

// ReadTimedWait says whether a thread of a process waits in a call that ends after a
// time by itself. It needs the right to trace the process.
func ReadTimedWait(pid int) (timed bool, err error) {
	err = eachBlocked(pid, func(b blocked) bool {
		timed = b.timed()
		return !timed
	})
	return timed, err
}

// ReadWaits returns the calls in which threads of a process wait, and which of them wait for
// the socket with the inode. It needs the right to trace the process. A wait for an epoll
// instance within another one is not followed, and io_uring is not seen.
func ReadWaits(pid int, inode uint32) (waits []Wait, err error) {
	fds, err := ReadFDs(pid)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, fd := range fds.Of(FDSocket) {
		if fd.Inode == uint64(inode) {
			numbers = append(numbers, fd.Number)
		}
	}
	var memory *os.File
	if memory, err = os.Open(pathOf(procRoot, pid, "mem")); err != nil {
		return nil, fmt.Errorf("read what process %d waits for: %w", pid, err)
	}
	defer memory.Close()
	err = eachBlocked(pid, func(b blocked) bool {
		w := Wait{
			Reads: slices.Contains([]string{"read", "readv", "preadv2", "recvfrom", "recvmsg", "recvmmsg"}, b.name),
			Timed: b.timed(),
		}
		w.OnSocket = slices.ContainsFunc(numbers, func(fd int) bool { return b.includes(memory, pid, fd, inode) })
		if w.Timed {
			w.Timeout = b.timeout(memory)
		}
		waits = append(waits, w)
		return true
	})
	return waits, err
}

// includes says whether the call reads from the descriptor or polls it.
func (b blocked) includes(memory *os.File, pid, fd int, inode uint32) bool {
	switch b.name {
	case "epoll_wait", "epoll_pwait", "epoll_pwait2":
		info, err := os.ReadFile(pathOf(procRoot, pid, "fdinfo", strconv.Itoa(int(int32(b.arguments[0])))))
		return err == nil && epollHas(string(info), inode)
	case "poll", "ppoll": // an array of { int fd; short events, revents; }
		const size, most = 8, 1 << 16
		polled := make([]byte, size*min(b.arguments[1], most))
		if _, err := memory.ReadAt(polled, int64(b.arguments[0])); err != nil {
			return false
		}
		for ; len(polled) >= size; polled = polled[size:] {
			if int(int32(binary.NativeEndian.Uint32(polled))) == fd {
				return true
			}
		}
		return false
	case "select", "pselect6": // bits in words
		word := make([]byte, 8)
		if b.arguments[1] == 0 || uint64(fd) >= b.arguments[0] {
			return false
		}
		if _, err := memory.ReadAt(word, int64(b.arguments[1])+int64(fd/64*8)); err != nil {
			return false
		}
		return binary.NativeEndian.Uint64(word)>>(fd%64)&1 == 1
	}
	return b.wait.Descriptor && int(int32(b.arguments[0])) == fd
}

// epollHas says whether the fdinfo of an epoll instance names a file with the inode. Sockets
// share their inodes with no other files that can be polled, but those of other file systems.
func epollHas(info string, inode uint32) bool {
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, "tfd:") && slices.Contains(strings.Fields(line), "ino:"+strconv.FormatUint(uint64(inode), 16)) {
			return true
		}
	}
	return false
}

// timeout is that of a call that polls, or 0 where it cannot be read.
func (b blocked) timeout(memory *os.File) time.Duration {
	switch {
	case b.wait.Milliseconds != 0:
		return time.Duration(int32(b.arguments[b.wait.Milliseconds])) * time.Millisecond
	case b.wait.Timeout != 0:
		words := make([]byte, 16)
		if _, err := memory.ReadAt(words, int64(b.arguments[b.wait.Timeout])); err != nil {
			return 0
		}
		seconds, parts := binary.NativeEndian.Uint64(words), binary.NativeEndian.Uint64(words[8:])
		unit := time.Nanosecond
		if b.name == "select" { // a struct timeval
			unit = time.Microsecond
		}
		const most = 1 << 31 // seconds, more than any that is meant
		return time.Duration(min(seconds, most))*time.Second + time.Duration(min(parts, 1e9))*unit
	}
	return 0
}
