// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"forkrig/rig/observe"
)

// watchdogEnv is the environment variable with the time, such as 30s, after which
// a lab in which nothing happens is said to stand still. Without it that is one
// and a half times [Patience], so that every wait of the rig's own has ended.
const watchdogEnv = "FORKRIG_WATCHDOG"

// watchdogLimit reads the time.
func watchdogLimit() (time.Duration, error) {
	text := os.Getenv(watchdogEnv)
	if text == "" {
		return Patience() * 3 / 2, nil
	}
	limit, err := time.ParseDuration(text)
	if err != nil || limit <= 0 {
		return 0, fmt.Errorf("%s=%q is not a time above 0: give one such as 30s", watchdogEnv, text)
	}
	return limit, nil
}

// watchdog watches the open labs and prints everything that can be known of them
// when a test stands still: when nothing happened in its lab for the limit (no
// event in the journal, no processor time used, no socket changed), shortly before
// -test.timeout makes the runtime print goroutines only, and on SIGQUIT. It ends
// nothing, and says of each standstill once.
type watchdog struct {
	out   io.Writer
	limit time.Duration
	stop  chan struct{}
	ended chan struct{}

	quitIgnored atomic.Bool

	// mu is held while the watchdog looks at a lab, so that the lab does not end meanwhile.
	mu       sync.Mutex
	labs     map[*Lab]*stillness
	deadline time.Time // when -test.timeout ends the tests; zero where it does not
	warned   bool      // of the deadline
}

// stillness is since when nothing has happened in a lab.
type stillness struct {
	events     int
	since      time.Time
	quiescence *observe.Quiescence // nil where nothing but the journal was looked at
	told       bool
}

// dog watches all labs of this process. Set before the first test runs; nil in
// processes that run no tests.
var dog *watchdog

// mostNotice is how long before -test.timeout the watchdog barks, at the most.
const mostNotice = 10 * time.Second

// watch starts a watchdog. The caller stops it.
func watch(out io.Writer) (*watchdog, error) {
	limit, err := watchdogLimit()
	if err != nil {
		return nil, err
	}
	w := &watchdog{out: out, limit: limit, labs: map[*Lab]*stillness{}, stop: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w, nil
}

// end ends the watch.
func (w *watchdog) end() {
	close(w.stop)
	<-w.ended
}

// add begins to watch a lab.
func (w *watchdog) add(l *Lab) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.labs[l] = &stillness{since: time.Now()}
	if deadline, ok := deadlineOf(l.tb); ok {
		w.deadline = deadline
	}
}

// ignoreQuit leaves SIGQUIT to the program.
func (w *watchdog) ignoreQuit() {
	if w != nil {
		w.quitIgnored.Store(true)
	}
}

// remove ends the watch over a lab, and waits for a look at it to end.
func (w *watchdog) remove(l *Lab) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.labs, l)
}

// deadlineOf returns when -test.timeout ends the tests.
func deadlineOf(tb TB) (time.Time, bool) {
	if t, ok := tb.(interface{ Deadline() (time.Time, bool) }); ok {
		return t.Deadline()
	}
	return time.Time{}, false
}

func (w *watchdog) run() {
	defer close(w.ended)
	quit, restore := quitSignals()
	defer restore()
	between := max(w.limit/8, time.Millisecond) // looks at the labs
	tick := min(between, time.Second)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began := time.Now()
	looked := began
	for {
		select {
		case <-w.stop:
			return
		case <-quit:
			if w.quitIgnored.Load() {
				continue
			}
			w.bark("SIGQUIT came", nil)
			quitMyself() // the runtime prints goroutines once more and ends the process
			return
		case <-ticker.C:
		}
		if reason := w.deadlineNear(began, tick); reason != "" {
			w.bark(reason, nil)
		}
		if time.Since(looked) < between {
			continue
		}
		looked = time.Now()
		for _, l := range w.standing() {
			w.bark(fmt.Sprintf("%s stands still: for %v nothing has happened in its lab", l.tb.Name(), w.limit), l)
		}
	}
}

// deadlineNear says so, once. In a short run the notice is a tenth of it.
func (w *watchdog) deadlineNear(began time.Time, tick time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadline.IsZero() || w.warned {
		return ""
	}
	notice := min(mostNotice, w.deadline.Sub(began)/10)
	// The next tick may come too late.
	if time.Until(w.deadline) > notice+tick {
		return ""
	}
	w.warned = true
	return fmt.Sprintf("-test.timeout ends the tests in %v", time.Until(w.deadline).Round(time.Millisecond))
}

// standing returns the labs that have stood still for the limit and were not told of.
// While a lab's journal grows, nothing else of it is looked at.
func (w *watchdog) standing() []*Lab {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*Lab
	for l, s := range w.labs {
		if events := l.Journal.count(); events != s.events {
			*s = stillness{events: events, since: time.Now()}
			continue
		}
		if time.Since(s.since) < w.limit/2 {
			continue
		}
		activity, err := l.activity()
		switch {
		case err != nil: // what cannot be looked at does not count as something that happens
		case s.quiescence == nil:
			s.quiescence = &observe.Quiescence{}
			s.quiescence.See(activity)
			continue
		case s.quiescence.See(activity).State == observe.Active:
			s.since, s.told = time.Now(), false
			continue
		}
		if !s.told && time.Since(s.since) >= w.limit {
			s.told = true
			found = append(found, l)
		}
	}
	return found
}

// watchdogLook is for how long the watchdog waits for the observer at the most.
const watchdogLook = 5 * time.Second

// look reads the processes and sockets of all hosts of the lab.
func (l *Lab) look() (*observe.Snapshot, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scaled(watchdogLook))
	defer cancel()
	var all []*observe.Host
	for _, h := range l.everyHost() {
		all = append(all, h.observed)
	}
	return observer.Look(ctx, observe.Query{Processes: all, Sockets: all})
}

// activity is what happens in the lab, but for whether a process is awake: one that
// waits for a device for ever, or for a processor that it does not get, stands still.
func (l *Lab) activity() (now observe.Activity, err error) {
	s, err := l.look()
	if err != nil {
		return now, err
	}
	for _, h := range l.everyHost() {
		processes, err := h.processesIn(s)
		if err != nil {
			return now, err
		}
		sockets, err := h.socketsIn(s)
		if err != nil {
			return now, err
		}
		now.Processes, now.Sockets = append(now.Processes, processes...), append(now.Sockets, sockets...)
	}
	now.At = time.Now()
	return now, nil
}

func (l *Lab) everyHost() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// bark prints all goroutines, and of the lab or, where it is nil, of every open one
// the test, the processes, the sockets and the end of the journal.
func (w *watchdog) bark(reason string, only *Lab) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "forkrig: watchdog: %s\n%s\n", reason, aboutDeadlines())
	w.mu.Lock()
	labs := slices.SortedFunc(maps.Keys(w.labs), func(a, b *Lab) int { return strings.Compare(a.tb.Name(), b.tb.Name()) })
	for _, l := range labs {
		if only == nil || l == only {
			l.describe(&b)
		}
	}
	w.mu.Unlock()
	fmt.Fprintf(&b, "all goroutines:\n%s\nforkrig: watchdog: that is all; nothing was ended\n", goroutines())
	_, _ = w.out.Write(b.Bytes())
}

// describe prints what can be known of the lab.
func (l *Lab) describe(w io.Writer) {
	fmt.Fprintf(w, "lab of %s:\n", l.tb.Name())
	hosts := l.everyHost()
	s, err := l.look()
	if err != nil {
		fmt.Fprintf(w, "  processes and sockets: %v\n", err)
		hosts = nil
	}
	for _, h := range hosts {
		fmt.Fprintf(w, "  host %s\n", h.Name)
		processes, err := h.processesIn(s)
		if err != nil {
			fmt.Fprintf(w, "    processes: %v\n", err)
		}
		for _, p := range processes {
			fmt.Fprintf(w, "    %v, %v of processor time\n%s", p, p.CPUTime, indented(observe.DescribeThreads(p.PID), "      "))
		}
		sockets, err := h.socketsIn(s)
		if err != nil {
			fmt.Fprintf(w, "    sockets: %v\n", err)
		}
		for _, s := range sockets {
			fmt.Fprintf(w, "    %v\n", s)
		}
	}
	fmt.Fprintf(w, "  journal:\n%s", indented(l.Journal.Tail(20), "    "))
}

func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// goroutines returns the stacks of all goroutines.
func goroutines() string {
	const most = 64 << 20
	for size := 1 << 20; ; size *= 2 {
		stacks := make([]byte, size)
		if n := runtime.Stack(stacks, true); n < size || size >= most {
			return string(stacks[:n])
		}
	}
}
