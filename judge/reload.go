// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// Reload is how a subject is told to read its configuration again. The zero value says that it
// cannot be told.
type Reload struct {
	// Signal is sent to the first process; 0 means that Command does it.
	Signal syscall.Signal
	// Command is a program and its arguments, run on the subject's host. In each word {pid} is
	// the number of the first process; the placeholders of [Subject.At] are replaced, too.
	Command []string
}

// Known says whether there is a way to tell it.
func (r Reload) Known() bool { return r.Signal != 0 || len(r.Command) > 0 }

func (r Reload) String() string {
	if r.Signal != 0 {
		return rig.SignalName(r.Signal)
	}
	return rig.Command{Args: r.Command}.String()
}

// check returns what is wrong with the description, and what to do about it.
func (r Reload) check() error {
	if len(r.Command) > 0 && !slices.ContainsFunc(r.Command, func(word string) bool { return strings.Contains(word, "{pid}") || strings.Contains(word, "{dir}") }) {
		return fmt.Errorf("reload by %q: give a signal such as HUP, or a command with {pid}, the PID of the first process, or with {dir}, where the subject may write its PID", r)
	}
	return nil
}

// Reload tells the subject to reload. A command has ended when it returns; one that fails
// breaks the check.
func (s *Instance) Reload() {
	c := s.Case
	head := s.Head()
	if all, err := c.Host.Processes(); err == nil && len(InBoth(all.Alive(), rig.ProcessInfos{head})) == 0 {
		// It may have executed itself anew, under another number.
		if alive := all.Alive(); len(alive) > 0 {
			head = (&Instance{Own: alive}).Head()
		}
	}
	how := c.Subject.Reload
	defer c.Did(scorecard.Reload)
	if how.Signal != 0 {
		c.Apply(fault.Signal{Signal: how.Signal, Targets: c.Targets("the first process", rig.ProcessInfos{head})})
		return
	}
	pid, err := c.Host.PIDOf(head)
	c.Must(err)
	words := placed(how.Command, c.Address, c.dir, "{pid}", strconv.Itoa(pid))
	p, err := c.Host.Start(rig.Command{Name: "reload", Args: words, Dir: c.Subject.Dir, User: c.Subject.User})
	c.Must(err)
	ctx, cancel := context.WithTimeout(c.Context(), rig.Patience())
	defer cancel()
	exit, err := p.Wait(ctx)
	c.Must(err)
	if !exit.Success() {
		c.Broken("%v", errors.Join(fmt.Errorf("the command of -reload: %v", exit), errors.New(strings.Join(p.Stderr.Last(3), "\n"))))
	}
}
