// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"forkrig/rig"
)

// Kill ends processes by SIGKILL, all at one instant: see [rig.Lab.KillTogether].
// Each loses its memory and its descriptors, and nothing it could do about it; the
// kernel goes on with its connections and tells the peers (FIN, or RST where bytes
// were left unread). It is broken when all are dead. Killing no process is an error. It
// cannot be healed.
type Kill struct {
	Targets []rig.Target
}

func (k Kill) String() string { return "SIGKILL hits " + joined(k.Targets) }

// Break implements [Fault].
func (k Kill) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := someTargets(k.Targets); err != nil {
		return nil, err
	}
	killed, _, err := lab.KillTogether(ctx, k.Targets...)
	if err == nil && killed == 0 {
		err = errNoneAlive
	}
	return nil, err
}

// KillAll ends every process of a host at one instant, those that are being forked
// included: see [rig.Host.KillAll]. It ends a subject that forks faster than [Kill] finds
// its processes. No process on the host is no error. It cannot be healed.
type KillAll struct {
	Host *rig.Host
}

func (k KillAll) String() string { return "SIGKILL hits every process of " + nameOf(k.Host) }

// Break implements [Fault].
func (k KillAll) Break(_ context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkHost(lab, "Host", k.Host); err != nil {
		return nil, err
	}
	return nil, k.Host.KillAll()
}

// Stop stops processes by SIGSTOP, as an overloaded machine or a debugger may: they
// keep everything and do nothing, while the kernel goes on to accept and acknowledge
// for them. It is broken when all threads of all of them have stopped, and healed by
// SIGCONT, when none is stopped any more. Stopping no process is an error. See
// [rig.Lab.FreezeTogether].
type Stop struct {
	Targets []rig.Target
}

func (s Stop) String() string { return "SIGSTOP holds " + joined(s.Targets) }

// Break implements [Fault].
func (s Stop) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := someTargets(s.Targets); err != nil {
		return nil, err
	}
	frozen, err := lab.FreezeTogether(ctx, s.Targets...)
	if err != nil {
		return nil, err
	}
	return frozen.Thaw, nil
}

// Restart ends a process and starts its command again on its host. The zero value
// of all but Process kills it and starts it again at once. What restarts is always
// [rig.Process.Latest] of Process, and so is what was started, afterwards: the fault
// can be applied again and again. A process that has ended already is started
// again. The children of the process are left alone.
//
// It is broken when the new process was started, which then may not listen yet. It
// cannot be healed.
type Restart struct {
	Process *rig.Process
	// After is how long there is no process.
	After time.Duration
	// Gently stops the process in order ([rig.Process.Stop]) instead of killing it.
	// One that has to be killed after all is an error, and is not started again.
	Gently bool
	// ClockJump is by how much the clocks of the new process are ahead of those of the
	// old one: see [ClockJump].
	ClockJump time.Duration
}

func (r Restart) String() string {
	how := "is killed"
	if r.Gently {
		how = "is stopped"
	}
	text := fmt.Sprintf("%s %s and started again", nameOfProcess(r.Process), how)
	if r.After > 0 {
		text += fmt.Sprintf(" %v later", r.After)
	}
	if r.ClockJump != 0 {
		text += ", " + jump(r.ClockJump)
	}
	return text
}

// Break implements [Fault].
func (r Restart) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	switch {
	case r.Process == nil:
		return nil, errors.New("there is no process to restart: set Process")
	case r.Process.Host.Lab() != lab:
		return nil, fmt.Errorf("%v is in another lab: name a process of this one", r.Process)
	case r.After < 0:
		return nil, fmt.Errorf("a restart after %v: give a time from 0 up", r.After)
	}
	latest := r.Process.Latest()
	if r.Gently {
		if _, err := latest.Stop(ctx); err != nil {
			return nil, err
		}
	} else if err := latest.Kill(ctx); err != nil {
		return nil, err
	}
	timer := time.NewTimer(r.After)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait %v before the restart: %w", r.After, ctx.Err())
	}
	_, err := latest.RestartUnder(latest.Command.ClockOffset + r.ClockJump)
	return nil, err
}

var errNoneAlive = fmt.Errorf("no targeted process is alive: %w", os.ErrProcessDone)

func someTargets(targets []rig.Target) error {
	if len(targets) == 0 {
		return errors.New("there are no targets: use Itself, Workers or Family of a process, or Matching of a host")
	}
	return nil
}

func nameOfProcess(p *rig.Process) string {
	if p == nil {
		return "no process"
	}
	return p.Itself().String()
}
