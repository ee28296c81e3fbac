// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// crowdedLab is a lab in which processes sleep: one parent with children on each host.
type crowdedLab struct {
	hosts   []*Host
	parents []*Process
}

// newCrowdedLab spreads the processes over the hosts, which have one listener each.
func newCrowdedLab(b *testing.B, hosts, processes int) *crowdedLab {
	lab := New(b)
	c := &crowdedLab{}
	center, leaves := lab.NewStar("center", "leaf", hosts-1)
	c.hosts = append(leaves, center)
	for i, host := range c.hosts {
		here := processes / hosts
		if i < processes%hosts {
			here++
		}
		p := host.MustStart(Program("breeding", strconv.Itoa(here-1)))
		_, err := p.Stdout.AwaitLine(b.Context(), "its count", func(l string) bool { return strings.HasPrefix(l, "children") })
		require.NoError(b, err)
		c.parents = append(c.parents, p)
		listener, err := host.Listen(b.Context(), netip.MustParseAddrPort("127.0.0.1:9000"))
		require.NoError(b, err)
		b.Cleanup(func() {
			listener.Close()
			_ = host.KillAll() // the children outlive a parent that is stopped
		})
	}
	return c
}

// wait begins waits of five kinds for what does not come, spread over the hosts. end
// ends them, and returns when none is left.
func (c *crowdedLab) wait(b *testing.B, waiters int) (end func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	for i := range waiters {
		host, parent := c.hosts[i%len(c.hosts)], c.parents[i%len(c.hosts)]
		all.Go(func() {
			switch i % 5 {
			case 0:
				_, _ = host.AwaitProcesses(ctx, "what does not come", func(ProcessInfos) bool { return false })
			case 1:
				_, _ = host.AwaitSockets(ctx, "what does not come", func(Sockets) bool { return false })
			case 2:
				_, _ = parent.AwaitDescendants(ctx, "what does not come", func(ProcessInfos) bool { return false })
			case 3:
				_, _ = host.AwaitListen(ctx, parent, 1)
			case 4:
				rest := host.WatchRest()
				_ = Await(ctx, "what does not come", func() (bool, string, error) {
					_, _, err := rest.Look()
					return false, "", err
				})
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// BenchmarkWaiting measures what waiting costs: the processor time of this process
// for each second in which 50 waiters look at 9 hosts with 200 processes.
func BenchmarkWaiting(b *testing.B) {
	c := newCrowdedLab(b, 9, 200)
	end := c.wait(b, 50)
	defer end()
	before, began := usedTime(b), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	used, waited := usedTime(b)-before, time.Since(began)
	b.ReportMetric(used.Seconds()/waited.Seconds(), "cpu-s/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEventToObserver measures how long after an event a waiter knows of it: a
// process stops or goes on, or a socket begins to listen.
func BenchmarkEventToObserver(b *testing.B) {
	for _, size := range []struct{ hosts, processes, waiters int }{{2, 10, 0}, {9, 200, 50}} {
		name := "processes=" + strconv.Itoa(size.processes) + "/waiters=" + strconv.Itoa(size.waiters+1)
		b.Run(name+"/event=stop", func(b *testing.B) {
			c := newCrowdedLab(b, size.hosts, size.processes)
			defer c.wait(b, size.waiters)()
			next := syscall.SIGSTOP
			measureEvents(b, func() { require.NoError(b, c.parents[0].Signal(next)) }, func() {
				wanted := map[syscall.Signal]ProcessState{syscall.SIGSTOP: Stopped, syscall.SIGCONT: Sleeping}[next]
				_, err := c.hosts[0].AwaitProcesses(b.Context(), "the change", func(l ProcessInfos) bool {
					return slices.ContainsFunc(l, func(i ProcessInfo) bool { return i.PID == c.parents[0].PID && i.State == wanted })
				})
				require.NoError(b, err)
			}, func() {
				next = map[bool]syscall.Signal{true: syscall.SIGCONT, false: syscall.SIGSTOP}[next == syscall.SIGSTOP]
			})
			_ = c.parents[0].Thaw()
		})
		b.Run(name+"/event=listen", func(b *testing.B) {
			c := newCrowdedLab(b, size.hosts, size.processes)
			defer c.wait(b, size.waiters)()
			const port = 9001
			closing := func() {}
			measureEvents(b, func() {
				listener, err := c.hosts[0].Listen(b.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
				require.NoError(b, err)
				closing = func() { listener.Close() }
			}, func() {
				_, err := c.hosts[0].AwaitSockets(b.Context(), "the listener", func(s Sockets) bool { return len(s.On(port).In(Listening)) == 1 })
				require.NoError(b, err)
			}, func() { closing() })
		})
	}
}

// measureEvents makes an event some time after a wait for it began, again and again,
// and reports the median of the times from the event to the end of the wait.
func measureEvents(b *testing.B, event, await, again func()) {
	var took []time.Duration
	for b.Loop() {
		ended := make(chan time.Time, 1)
		go func() {
			await()
			ended <- time.Now()
		}()
		time.Sleep(100*time.Millisecond + rand.N(50*time.Millisecond)) // any moment is as good as another
		event()
		began := time.Now()
		took = append(took, max((<-ended).Sub(began), 0))
		again()
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms/median")
	b.ReportMetric(took[len(took)*95/100].Seconds()*1000, "ms/p95")
	b.ReportMetric(0, "ns/op")
}

// usedTime is how much processor time this process has used.
func usedTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
