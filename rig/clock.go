// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"forkrig/rig/internal/program"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockProgram moves itself to another time and executes a command in its own
// place: the process, its number and its parent stay those of the command.
const clockProgram = program.Builtin + "clock"

// clockFailed is the exit status of the clock program where it could not execute
// the command; clockFailure begins its last line then.
const (
	clockFailed  = 126
	clockFailure = "forkrig clock: "
)

// maxClock is the most that the kernel lets a clock show (KTIME_SEC_MAX/2,
// kernel/time/namespace.c): some 146 years.
const maxClock = time.Duration(math.MaxInt64 / 2)

// checkClock says whether the clocks can be set off by so much.
func (c Command) checkClock() error {
	if c.ClockOffset == 0 {
		return nil
	}
	if now := monotonicClock(); c.ClockOffset < -now || c.ClockOffset > maxClock-now {
		return fmt.Errorf("start %s: a clock offset of %v: the clock shows %v and can be set from 0 to %v: give from %v to %v",
			c.name(), c.ClockOffset, now.Round(time.Second), maxClock.Round(time.Hour), -now.Truncate(time.Second), (maxClock - now).Truncate(time.Hour))
	}
	return nil
}

// inItsTime returns the command that starts c under its clocks: c itself where
// they are those of the machine.
func (c Command) inItsTime() (Command, error) {
	if c.ClockOffset == 0 {
		return c, nil
	}
	if err := c.checkClock(); err != nil {
		return c, err
	}
	if err := timeNamespaces(); err != nil {
		return c, err
	}
	path, err := c.Executable()
	if err != nil {
		return c, err
	}
	// The namespace is made before the user is changed: it takes CAP_SYS_ADMIN.
	user := ""
	credential, err := credentialOf(c.User)
	if err != nil {
		return c, err
	}
	if credential != nil {
		user = fmt.Sprintf("%d:%d", credential.Uid, credential.Gid)
	}
	offset := strconv.FormatInt(int64(c.ClockOffset), 10)
	c.Args = append([]string{program.Arg0(clockProgram), offset, user, path}, c.Args...)
	c.User = ""
	return c, nil
}

// awaitItsTime waits until the process has executed its command under its
// clocks.
func (p *Process) awaitItsTime() error {
	if p.Command.ClockOffset == 0 {
		return nil
	}
	return Await(context.Background(), fmt.Sprintf("%v under its clocks", p), func() (bool, string, error) {
		running := p.Running()
		command, err := os.ReadFile(procPath(p.PID, "cmdline"))
		if running && err == nil && len(command) > 0 && !strings.HasPrefix(string(command), program.Arg0(clockProgram)+"\x00") {
			return true, "", nil
		}
		if running {
			return false, "the command is not executed yet", nil
		}
		p.awaitOutput(context.Background())
		if last := p.Stderr.Last(1); p.exit().Code == clockFailed && len(last) > 0 {
			if reason, failed := strings.CutPrefix(last[0], clockFailure); failed {
				return false, "", errors.New(reason)
			}
		}
		return true, "", nil // it was executed, and has ended already
	})
}

// clockMain is the clock program: an offset in nanoseconds, a user as UID:GID or
// nothing, the file to execute, and its arguments from the zeroth.
func clockMain(args []string) int {
	if err := executeInTime(args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", clockFailure, err)
	}
	return clockFailed
}

// clockProbe, in the place of an offset, has the clock program say which time
// namespace it is in.
const clockProbe = "probe"

func executeInTime(args []string) error {
	if len(args) == 1 && args[0] == clockProbe {
		namespace, err := timeNamespace()
		if err != nil {
			return err
		}
		fmt.Print(namespace)
		os.Exit(0)
	}
	if len(args) < 4 {
		return errors.New("this program is for Command.ClockOffset")
	}
	nanoseconds, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("read the offset: %w", err)
	}
	if err := enterTime(time.Duration(nanoseconds)); err != nil {
		return err
	}
	if uid, gid, given := strings.Cut(args[1], ":"); given {
		if err := becomeUser(uid, gid); err != nil {
			return err
		}
	}
	return executeInPlace(args[2], args[3:])
}
