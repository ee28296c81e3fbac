package rig

import (
	"fmt"
	"strings"
	"time"
)

// Rest watches a host for signs of life, to tell a subject that does nothing
// any more from one that is merely slow: see [Host.WatchRest]. It is not safe for
// concurrent use.
type Rest struct {
	host *Host

	activity string    // all that changes when something happens
	quiet    time.Time // since when it is the same

	result string        // the same without processor time: what has come of it
	spent  time.Duration // processor time when the result was last another one
}

// WatchRest begins to watch the host.
func (h *Host) WatchRest() *Rest { return &Rest{host: h, quiet: time.Now()} }

// Look looks at every process and TCP socket of the host, which takes a
// millisecond or more, so some ten looks a second are enough.
//
// It returns for how long nothing has happened, as far as looks tell: no process
// came or went, none ran or used processor time (counted in steps of 10 ms), and
// no socket changed. And it returns how much processor time was used without any
// result: since a process last came or went, or a socket last changed.
func (r *Rest) Look() (quiet, idle time.Duration, err error) {
	processes, err := r.host.Processes()
	if err != nil {
		return 0, 0, err
	}
	sockets, err := r.host.Sockets()
	if err != nil {
		return 0, 0, err
	}
	var result strings.Builder
	spent := time.Duration(0)
	awake := false
	for _, info := range processes {
		spent += info.CPUTime
		fmt.Fprintf(&result, "%d %d %t\n", info.PID, info.startTicks, info.State == Zombie)
		if info.State == Zombie {
			continue
		}
		asleep, err := allThreadsAsleep(info.PID)
		if err != nil && !isGone(err) {
			return 0, 0, err
		}
		awake = awake || err != nil || !asleep
	}
	for _, s := range sockets {
		fmt.Fprintf(&result, "%d %v %v %d %d %d\n", s.State, s.Local, s.Remote, s.RecvQueue, s.SendQueue, s.Inode)
	}
	if now := result.String(); now != r.result {
		r.result, r.spent = now, spent
	}
	if now := fmt.Sprint(r.result, spent); awake || now != r.activity {
		r.activity, r.quiet = now, time.Now()
	}
	return time.Since(r.quiet), spent - r.spent, nil
}
