// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"forkrig/rig"
)

// Storm is a storm of signals on processes, as [rig.Storm] describes it: at a rate,
// in bursts or as fast as possible, to processes or to single threads, with data or
// without. It is broken when the first signal has reached a process, and goes on
// until it is healed, or until its count, its duration or its last target ends. Where
// it left processes stopped by SIGSTOP, healing continues them. What it did stands
// in the journal; [rig.Lab.StartStorm] returns it.
//
// Whether a signal interrupts anything, or is a command, depends on the target: see
// [rig.Process.Signals].
type Storm struct {
	rig.Storm
}

func (s Storm) String() string { return "a storm of " + s.Storm.String() }

// Break implements [Fault].
func (s Storm) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	running, err := lab.StartStorm(s.Storm)
	if err != nil {
		return nil, err
	}
	err = rig.Await(ctx, "the first signal of "+s.String(), func() (bool, string, error) {
		if running.Sent() > 0 {
			return true, "", nil
		}
		select {
		case <-running.Done():
			result, err := running.Stop()
			return result.Sent > 0, "", errors.Join(err, noneReached(result))
		default:
			return false, "no process to send it to", nil
		}
	})
	if err != nil {
		_, stopErr := running.Stop()
		return nil, errors.Join(err, stopErr)
	}
	return func(context.Context) error {
		_, err := running.Stop()
		return err
	}, nil
}

// Signal sends one signal to processes, such as the SIGTERM of an administrator. It is
// broken when the signal was sent, whether or not the processes have taken it. Reaching
// no process is an error. It cannot be healed: for SIGKILL there is [Kill], which waits
// for the end, and for SIGSTOP [Stop], which can be.
type Signal struct {
	Signal  syscall.Signal
	Targets []rig.Target
}

func (s Signal) String() string {
	return fmt.Sprintf("%s hits %s", rig.SignalName(s.Signal), joined(s.Targets))
}

// Break implements [Fault].
func (s Signal) Break(_ context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	switch {
	case s.Signal == 0:
		return nil, errors.New("signal 0 does not exist: set Signal")
	case s.Signal == syscall.SIGKILL:
		return nil, errors.New("for SIGKILL use Kill, which waits for the end")
	case s.Signal == syscall.SIGSTOP:
		return nil, errors.New("for SIGSTOP use Stop, which can be healed")
	}
	if err := someTargets(s.Targets); err != nil {
		return nil, err
	}
	reached, err := lab.SignalAll(s.Signal, s.Targets...)
	if err == nil && reached == 0 {
		err = errNoneAlive
	}
	return nil, err
}

func noneReached(result rig.StormResult) error {
	if result.Sent > 0 {
		return nil
	}
	return fmt.Errorf("the storm has ended without reaching a process: %v", result)
}
