// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"forkrig/rig/internal/machine"
	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// hogProgram uses all the time of one processor that it can get, until it is
// killed.
const hogProgram = program.Builtin + "hog"

// Hogs are processes of the rig that do nothing but use processor time: see
// [Lab.StartHogs]. Its methods are safe for concurrent use.
type Hogs struct {
	lab  *Lab
	hogs []*exec.Cmd
	// recordEnd records their end; nil before they are at work.
	recordEnd func(format string, args ...any)

	mu      sync.Mutex
	stopped bool
	err     error
}

// hogAtWork is the name of a hog that has been started, however long that took.
const hogAtWork = "rig:hog at work"

// hogged is how much processor time each hog has used since then when it counts as
// started: two of the kernel's ticks.
const hogged = 20 * time.Millisecond

// StartHogs keeps the machine busy: each of n processes computes without a
// pause on one processor, the next one on the next that the tests may use, and
// n of 0 means one for each. They have the priority of the tests and of
// subjects, which therefore share the processors with them. It returns when each
// of them has used processor time. [Hogs.Stop] ends them, and so does the end of
// the lab; they run in the sandbox and on none of its hosts.
func (l *Lab) StartHogs(ctx context.Context, n int) (*Hogs, error) {
	if err := l.checkOpen("start hogs"); err != nil {
		return nil, err
	}
	processors, err := machine.Processors()
	if err != nil {
		return nil, fmt.Errorf("start hogs: %w", err)
	}
	if n < 0 {
		return nil, fmt.Errorf("start %d hogs: give a number from 1 up, or 0 for one on each processor", n)
	}
	if n == 0 {
		n = len(processors)
	}
	h := &Hogs{lab: l}
	began := time.Now()
	if err := h.start(ctx, n, processors); err != nil {
		return nil, errors.Join(fmt.Errorf("start hogs: %w", err), h.Stop())
	}
	h.recordEnd = l.Journal.Begin(began, EventFault, "lab", nil, "%d hogs keep the processors %v busy", n, processors[:min(n, len(processors))])
	if err := l.AtEnd(func(context.Context) error { return h.Stop() }); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Hogs) start(ctx context.Context, n int, processors []int) error {
	for i := range n {
		hog := program.Command(hogProgram, strconv.Itoa(processors[i%len(processors)]))
		if err := hog.Start(); err != nil {
			return explainStartError(err)
		}
		h.hogs = append(h.hogs, hog)
	}
	began := map[int]time.Duration{} // what each had used when it began to work
	return Await(ctx, "hogs at work", func() (bool, string, error) {
		all, err := h.Processes()
		working := err == nil
		for _, hog := range all {
			if hog.Name != hogAtWork {
				working = false
				continue
			}
			if _, known := began[hog.PID]; !known {
				began[hog.PID] = hog.CPUTime
			}
			working = working && hog.CPUTime >= began[hog.PID]+hogged
		}
		return working, all.String(), err
	})
}

// Processes returns the hogs as they are now, with the processor time that each
// has used, in the order of their processors.
func (h *Hogs) Processes() (ProcessInfos, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all ProcessInfos
	if h.stopped {
		return nil, nil
	}
	for _, hog := range h.hogs {
		info, err := observe.ReadProcess(hog.Process.Pid)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// Stop ends the hogs and waits until they are gone. A second call does nothing.
func (h *Hogs) Stop() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return h.err
	}
	h.stopped = true
	for _, hog := range h.hogs {
		h.err = errors.Join(h.err, hog.Process.Kill())
		_ = hog.Wait() // it says that a signal ended the process, as it should have
	}
	if h.recordEnd != nil {
		h.recordEnd("%d hogs ended%s", len(h.hogs), errorSuffix(h.err))
	}
	return h.err
}

// hogMain is the hog program; its argument is the number of a processor.
func hogMain(args []string) int {
	processor, err := strconv.Atoi(args[len(args)-1])
	if err != nil || machine.StayOn(processor) != nil {
		return 2
	}
	program.SetProcessName(hogAtWork)
	for n := 0; ; n++ {
		if n < 0 {
			n = 0
		}
	}
}
