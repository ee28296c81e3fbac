// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"forkrig/rig/internal/program"
)

// Command describes a process before it is started. Making one starts nothing.
type Command struct {
	// Name is how output calls the process; "" means the base name of the
	// program.
	Name string
	// Args is the program and its arguments. A program without a slash is looked
	// for in PATH. See [Exec] and [Program].
	Args []string
	// Env is added to the environment of the tests, as NAME=value. What the rig
	// tells itself by the environment is not passed on.
	Env []string
	// Dir is the working directory; "" means that of the tests.
	Dir string
	// User is a user's name or number; "" means the user of the tests. It needs
	// root, and is a [MissingError] in a sandbox made without. The process has the
	// user's own group and no other, no capability but Capabilities, and never gains a
	// privilege by executing a program (PR_SET_NO_NEW_PRIVS), so that sudo and ping do not
	// work.
	User string
	// Capabilities are those that a process as User has nevertheless, by their numbers
	// (capabilities(7)), and passes on to what it executes (ambient ones). The binary of the
	// tests must be executable by User. They cannot be combined with ClockOffset.
	Capabilities []uintptr
	// StdoutTo and StderrTo are files that take the stream instead of the rig, which
	// are made if need be and written to at their end, such as one on a [Disk] or
	// /dev/full, where each write gives ENOSPC (full(4)). "" means that the rig
	// reads it: see [Process.Stdout].
	StdoutTo, StderrTo string
	// Stdin gives the process a pipe as standard input, [Process.Stdin]. Without
	// it standard input is /dev/null.
	Stdin bool
	// ClockOffset sets CLOCK_MONOTONIC and CLOCK_BOOTTIME off, for the process and
	// its descendants: a positive one is in the future. A running process cannot be
	// moved to another time; see [Process.RestartUnder]. CLOCK_REALTIME, the time of
	// day, is the machine's and cannot be virtualised: nothing that a process knows
	// from time(2), a file's age or a certificate changes (time_namespaces(7)).
	// Requires [FeatureTimeNamespace].
	ClockOffset time.Duration
	// StopSignal is what [Process.Stop] sends first; 0 means SIGTERM.
	StopSignal syscall.Signal
	// Grace is how long Stop waits before it kills; 0 means 5 s, or less where
	// the deadline of the test is near.
	Grace time.Duration
}

const defaultGrace = 5 * time.Second

// maxSignal is the highest signal number (signal(7)).
const maxSignal = 64

// Exec describes a program of the machine and its arguments.
func Exec(path string, args ...string) Command {
	return Command{Args: append([]string{path}, args...)}
}

// Program describes a helper program that [Main] was given, and its arguments.
func Program(name string, args ...string) Command {
	return Command{Name: name, Args: append([]string{program.Arg0(name)}, args...)}
}

// String returns the command as a person would type it.
func (c Command) String() string {
	words := make([]string, len(c.Args))
	for i, arg := range c.Args {
		if i == 0 {
			arg = programOr(arg)
		}
		words[i] = shellQuoted(arg)
	}
	return strings.Join(words, " ")
}

// shellQuoted returns word as a person would type it for a shell.
func shellQuoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?#~`{}[]!^") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// programOr returns the name of the helper program that argv0 asks for, or argv0.
func programOr(argv0 string) string {
	if name := program.Name(argv0); name != "" {
		return name
	}
	return argv0
}

func (c Command) name() string {
	if c.Name != "" {
		return c.Name
	}
	if len(c.Args) == 0 {
		return ""
	}
	path := programOr(c.Args[0])
	return path[strings.LastIndexByte(path, '/')+1:]
}

func (c Command) check() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fmt.Errorf("start a process: the command is empty: give a program")
	}
	if name := program.Name(c.Args[0]); name != "" {
		if err := knownPrograms.check(name); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	if c.StopSignal < 0 || c.StopSignal > maxSignal {
		return fmt.Errorf("start %s: stop signal %d: give one from 1 to %d, or 0 for SIGTERM", c.name(), int(c.StopSignal), maxSignal)
	}
	if c.Grace < 0 {
		return fmt.Errorf("start %s: a grace of %v: give 0 or more", c.name(), c.Grace)
	}
	if err := c.checkClock(); err != nil {
		return err
	}
	if len(c.Capabilities) > 0 && (c.User == "" || c.ClockOffset != 0) {
		return fmt.Errorf("start %s: Capabilities need another user and the clocks of the machine: set User, and leave ClockOffset out", c.name())
	}
	if c.Dir != "" {
		if _, err := os.Stat(c.Dir); err != nil {
			return fmt.Errorf("start %s: working directory: %w", c.name(), err)
		}
	}
	for _, e := range c.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("start %s: environment entry %q: write NAME=value", c.name(), e)
		}
	}
	return nil
}

// Executable checks the command and returns the file that it executes, for
// callers that start it by another program. The error is that of [Host.Start].
func (c Command) Executable() (path string, err error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if program.Name(c.Args[0]) != "" {
		return program.Executable, nil
	}
	cmd := exec.Command(c.Args[0])
	if cmd.Err != nil {
		return "", fmt.Errorf("start %s: %w", c.name(), explainStartError(cmd.Err))
	}
	return cmd.Path, nil
}

// StartError returns what the kernel answered to the execution of the command as
// [Host.Start] reports it.
func (h *Host) StartError(c Command, err error) error {
	return fmt.Errorf("start %s on %s: %w", c.name(), h.Name, explainStartError(err))
}
