package rig

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Command describes a process before it is started. Making one starts nothing.
type Command struct {
	// Name is how output calls the process; "" means the base name of the
	// program.
	Name string
	// Args is the program and its arguments. A program without a slash is looked
	// for in PATH. See [Exec] and [Program].
	Args []string
	// Env is added to the environment of the tests, as NAME=value.
	Env []string
	// Dir is the working directory; "" means that of the tests.
	Dir string
	// User is a user's name or number; "" means the user of the tests. It needs
	// root, and is a [MissingError] in a sandbox made without.
	User string
	// Stdin gives the process a pipe as standard input, [Process.Stdin]. Without
	// it standard input is /dev/null.
	Stdin bool
	// StopSignal is what [Process.Stop] sends first; 0 means SIGTERM.
	StopSignal syscall.Signal
	// Grace is how long Stop waits before it kills; 0 means 5 s, or less where
	// the deadline of the test is near.
	Grace time.Duration
}

const defaultGrace = 5 * time.Second

// Exec describes a program of the machine and its arguments.
func Exec(program string, args ...string) Command {
	return Command{Args: append([]string{program}, args...)}
}

// Program describes a helper program that [Main] was given, and its arguments.
func Program(name string, args ...string) Command {
	return Command{Name: name, Args: append([]string{programPrefix + name}, args...)}
}

// String returns the command as a person would type it.
func (c Command) String() string {
	words := make([]string, len(c.Args))
	for i, arg := range c.Args {
		if i == 0 {
			arg = strings.TrimPrefix(arg, programPrefix)
		}
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$&|;<>()*?#~`{}[]!") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words[i] = arg
	}
	return strings.Join(words, " ")
}

func (c Command) name() string {
	if c.Name != "" {
		return c.Name
	}
	if len(c.Args) == 0 {
		return ""
	}
	program := strings.TrimPrefix(c.Args[0], programPrefix)
	return program[strings.LastIndexByte(program, '/')+1:]
}

func (c Command) check() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fmt.Errorf("start a process: the command is empty: give a program")
	}
	for _, e := range c.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("start %s: environment entry %q: write NAME=value", c.name(), e)
		}
	}
	return nil
}
