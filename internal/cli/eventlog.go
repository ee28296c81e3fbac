// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// eventsFlag names what ended a run whose events could not be written.
const eventsFlag = "-events"

// maxStall is how long a reader of a named pipe may not read until the run ends.
const maxStall = 30 * time.Second

// An eventLog writes what happens as lines of JSON, each as soon as it is known. A nil one writes
// nothing. Its methods are safe for concurrent use.
type eventLog struct {
	name   string // as the user gave it
	file   *os.File
	owned  bool                    // the file is ours to close
	cancel context.CancelCauseFunc // ends the run

	mu  sync.Mutex
	err error // the first one; nothing is written after it
}

// openEvents opens the file that -events names, and returns where people read then: where the events
// are on standard output, that is standard error. The context ends when an event cannot be written.
func (o *Options) openEvents(ctx context.Context, out *output) (context.Context, *eventLog, *output, error) {
	if o.events == "" {
		return ctx, nil, out, nil
	}
	l := &eventLog{name: o.events}
	name := rig.FromInvoker(o.events)
	info, err := os.Stat(name)
	own, ownErr := out.file.Stat()
	complaints, complaintsErr := os.Stderr.Stat()
	switch {
	case o.events == "-" || err == nil && ownErr == nil && os.SameFile(info, own) && name != os.DevNull:
		l.file, out = out.file, newOutput(os.Stderr)
	case err == nil && complaintsErr == nil && os.SameFile(info, complaints):
		l.file = os.Stderr
	default:
		// O_NONBLOCK: without a reader a named pipe would block the run.
		l.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, 0o666)
		if errors.Is(err, syscall.ENXIO) {
			err = fmt.Errorf("nothing reads the named pipe %s: start its reader first", o.events)
		}
		if err != nil {
			return ctx, nil, out, fmt.Errorf("%s: %w", eventsFlag, err)
		}
		l.owned = true
	}
	// A pipe that is closed on standard output would end the process before the card is written.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, l.cancel = context.WithCancelCause(ctx)
	return ctx, l, out, nil
}

// tell writes an event with the time that it is.
func (l *eventLog) tell(e scorecard.Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	e.Time = time.Now()
	_ = l.file.SetWriteDeadline(e.Time.Add(rig.Scaled(maxStall))) // where it is a pipe of ours
	if l.err = e.Write(l.file); l.err != nil {
		l.cancel(&judge.EndedError{By: "an error of " + eventsFlag})
	}
}

// end tells the end of the run, and returns the exit status: statusUnable where an event could not
// be written.
func (l *eventLog) end(end scorecard.RunEnd) int {
	if l == nil {
		return end.Status
	}
	l.tell(scorecard.Event{Type: scorecard.RunEnds, End: &end})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owned {
		if err := l.file.Close(); l.err == nil {
			l.err = err
		}
	}
	l.cancel(nil)
	if l.err != nil {
		complain(fmt.Errorf("%s %s: %w", eventsFlag, l.name, l.err))
		return statusUnable
	}
	return end.Status
}
