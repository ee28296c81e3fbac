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
// it left processes stopped by SIGSTOP, healing continues them.
//
// Whether a signal interrupts anything, or is a command, depends on the target: see
// [rig.Process.Signals]. A storm is given to [Apply] as a pointer, and tells afterwards
// what it did.
type Storm struct {
	rig.Storm
	// MayIdle says that the targets may come later, as workers do: the storm is broken
	// when it has begun, whether or not a targeted process is alive.
	MayIdle bool

	running *rig.RunningStorm // since it was applied
}

func (s *Storm) String() string { return "a storm of " + s.Storm.String() }

// Break implements [Fault].
func (s *Storm) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	running, err := lab.StartStorm(s.Storm)
	if err != nil {
		return nil, err
	}
	err = rig.Await(ctx, "the first signal of "+s.String(), func() (bool, string, error) {
		if s.MayIdle || running.Sent() > 0 {
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
	s.running = running
	return func(context.Context) error {
		_, err := running.Stop()
		return err
	}, nil
}

// Sent returns how many signals have reached a living process so far.
func (s *Storm) Sent() int {
	if s.running == nil {
		return 0
	}
	return s.running.Sent()
}

// SentAlone returns how many of them did not find the one before still pending, as far as
// can be seen from outside; see [rig.StormResult].
func (s *Storm) SentAlone() int {
	if s.running == nil {
		return 0
	}
	return s.running.SentAlone()
}

// Result ends the storm, as healing does, and says what it did.
func (s *Storm) Result() (result rig.StormResult, err error) {
	if s.running != nil {
		result, err = s.running.Stop()
	}
	return result, err
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
