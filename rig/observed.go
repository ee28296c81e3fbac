// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"forkrig/rig/observe"
)

// What package observe reads of processes and sockets.
type (
	ProcessInfo  = observe.ProcessInfo
	ProcessInfos = observe.ProcessInfos
	ProcessState = observe.ProcessState
	ThreadUse    = observe.ThreadUse
	FD           = observe.FD
	FDs          = observe.FDs
	FDKind       = observe.FDKind
	SignalSet    = observe.SignalSet
	SignalMasks  = observe.SignalMasks
	Socket       = observe.Socket
	Sockets      = observe.Sockets
	TCPState     = observe.TCPState
	TCPTimer     = observe.TCPTimer
	Endurance    = observe.Endurance
	Wait         = observe.Wait
	Counters     = observe.Counters
	Limits       = observe.Limits
	Sight        = observe.Sight

	ListenerOptions = observe.ListenerOptions
)

// The states of a process.
const (
	RunningState = observe.RunningState
	Sleeping     = observe.Sleeping
	DiskSleep    = observe.DiskSleep
	Stopped      = observe.Stopped
	Zombie       = observe.Zombie
	LeaderEnded  = observe.LeaderEnded
)

// The kinds of descriptors.
const (
	FDSocket = observe.FDSocket
	FDPipe   = observe.FDPipe
	FDAnon   = observe.FDAnon // epoll, eventfd, signalfd, pidfd, …: see Target
	FDFile   = observe.FDFile
	FDOther  = observe.FDOther
)

// The TCP states.
const (
	Established    = observe.Established
	SynSent        = observe.SynSent
	SynReceived    = observe.SynReceived
	FinWait1       = observe.FinWait1
	FinWait2       = observe.FinWait2
	TimeWait       = observe.TimeWait
	Closed         = observe.Closed
	CloseWait      = observe.CloseWait
	LastAck        = observe.LastAck
	Listening      = observe.Listening
	Closing        = observe.Closing
	NewSynReceived = observe.NewSynReceived
)

// The timers of a TCP socket.
const (
	TimerOff             = observe.TimerOff
	TimerRetransmit      = observe.TimerRetransmit
	TimerKeepAlive       = observe.TimerKeepAlive
	TimerTimeWait        = observe.TimerTimeWait
	TimerZeroWindowProbe = observe.TimerZeroWindowProbe
)

// SignalName returns the name of a signal as in signal(7), such as SIGCHLD.
func SignalName(s syscall.Signal) string { return observe.SignalName(s) }

// observer looks at the hosts of all labs of this process.
var observer = observe.New()

// look reads at once, also after the end of the lab: a caller that must not look then
// asks before.
func look(what string, q observe.Query) (*observe.Snapshot, error) {
	s, err := observer.Look(context.Background(), q)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return s, nil
}

// processesIn returns the processes of the host in the snapshot.
func (h *Host) processesIn(s *observe.Snapshot) (ProcessInfos, error) {
	found, err := s.Processes(h.observed)
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, asClosed(err))
	}
	return found, nil
}

// socketsIn returns the sockets of the host in the snapshot.
func (h *Host) socketsIn(s *observe.Snapshot) (Sockets, error) {
	found, err := s.Sockets(h.observed)
	if err != nil {
		return nil, fmt.Errorf("list sockets of %s: %w", h.Name, asClosed(err))
	}
	return found, nil
}

// asClosed turns the error about a host that is gone into that of its lab.
func asClosed(err error) error {
	if errors.Is(err, observe.ErrRemoved) {
		return fmt.Errorf("%w: it ended meanwhile", ErrClosed)
	}
	return err
}

// everything asks for the processes and the sockets of the host.
func (h *Host) everything() observe.Query {
	return observe.Query{Processes: []*observe.Host{h.observed}, Sockets: []*observe.Host{h.observed}}
}

// awaitObserved is [Await] for what the observer sees: it shares what it reads with all
// that wait at the same time.
func awaitObserved(ctx context.Context, what string, q observe.Query,
	look func(*observe.Snapshot) (seen bool, last fmt.Stringer, err error)) error {
	waiter := observer.NewWaiter(q)
	var s *observe.Snapshot
	return await(ctx, what, func(ctx context.Context) (err error) {
		s, err = waiter.Next(ctx)
		return err
	}, func(again bool) (bool, fmt.Stringer, error) {
		if s == nil || again {
			var err error
			if s, err = observer.Look(context.WithoutCancel(ctx), q); err != nil {
				return false, nil, err
			}
		}
		return look(s)
	})
}

// awaitOn waits until seen says yes to what list finds on the host, such as its sockets.
func awaitOn[T fmt.Stringer](ctx context.Context, h *Host, what, things string, q observe.Query,
	list func(*observe.Snapshot) (T, error), seen func(T) bool) (found T, err error) {
	began := time.Now()
	err = awaitObserved(ctx, what+" on "+h.Name, q, func(s *observe.Snapshot) (yes bool, last fmt.Stringer, err error) {
		if err := h.lab.checkOpen("list " + things + " of " + h.Name); err != nil {
			return false, nil, err
		}
		if found, err = list(s); err != nil {
			return false, nil, err
		}
		return seen(found), found, nil
	})
	h.lab.Journal.waited(began, h.Name, err, "%s", what)
	return found, err
}

// said is a text as a description of what was seen.
type said string

func (s said) String() string { return string(s) }
