// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"forkrig/rig/internal/syscalls"
)

// maxThreadsDescribed is how many threads of a process are described.
const maxThreadsDescribed = 16

// DescribeThreads says of each thread of a process in which state it is, in which
// system call with which arguments, where in the kernel it waits (wchan), and its
// stack there, as far as /proc lets it be read.
func DescribeThreads(pid int) string {
	var b strings.Builder
	tasks, _ := filepath.Glob(pathOf(procRoot, pid, "task", "*")) // the pattern is right
	for i, task := range tasks {
		if i == maxThreadsDescribed {
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
			b.WriteString("  " + strings.ReplaceAll(stack, "\n", "\n  ") + "\n")
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
