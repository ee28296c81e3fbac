// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/syscalls"
)

// quitSignals catches SIGQUIT, which go test sends to a binary that goes on after
// its timeout. restore undoes that.
func quitSignals() (signals <-chan os.Signal, restore func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGQUIT)
	return c, func() { signal.Stop(c) }
}

// quitMyself lets the runtime do on SIGQUIT what it does.
func quitMyself() {
	signal.Reset(unix.SIGQUIT)
	_ = unix.Kill(os.Getpid(), unix.SIGQUIT) // to ourselves it cannot fail
}

// mostThreads is how many threads of a process are described.
const mostThreads = 16

// describeThreads says of each thread of a process in which state it is, in which
// system call with which arguments, where in the kernel it waits (wchan), and its
// stack there, as far as /proc lets it be read.
func describeThreads(pid int) string {
	var b strings.Builder
	tasks, _ := filepath.Glob(procPath(pid, "task", "*")) // the pattern is right
	for i, task := range tasks {
		if i == mostThreads {
			fmt.Fprintf(&b, "(%d more threads left out)\n", len(tasks)-i)
			break
		}
		read := func(file string) string {
			text, err := os.ReadFile(filepath.Join(task, file))
			if err != nil {
				return "?"
			}
			return strings.TrimSpace(string(text))
		}
		stat := read("stat")
		state, _, _ := strings.Cut(strings.TrimSpace(stat[strings.LastIndexByte(stat, ')')+1:]), " ")
		fmt.Fprintf(&b, "thread %s: state %s, in %s, waits in %s\n", filepath.Base(task), state, nameCall(read("syscall")), read("wchan"))
		if stack := read("stack"); stack != "?" && stack != "" {
			b.WriteString(indented(stack, "  "))
		}
	}
	return b.String()
}

// nameCall puts the name of the call into a line of /proc/PID/syscall.
func nameCall(line string) string {
	number, arguments, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return line // running, or ?
	}
	name, known := syscalls.Name(n)
	if !known {
		name = "system call " + number
	}
	return name + "(" + arguments + ")"
}
