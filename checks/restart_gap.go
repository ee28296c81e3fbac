// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var restartGap = judge.Check{
	Name:    "restart-gap",
	Meaning: "after a supervisor stops and starts the subject, it serves again",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr"},
	Judges:  []scorecard.Stimulus{scorecard.Restart},
	Clients: 2,
	Binds:   true,
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		for i := range len(c.Clients) {
			c.MustServe(c.Visit(i))
		}
		s.AwaitWorkersEnd("the client left")
		s.MustListen()
		// One client converses at that moment: whether the subject closes first, and has the
		// TIME_WAIT, does not depend on chance then.
		held := c.MustDial(0)
		c.MustServe(held.Begin())
		g := &gap{c: c, over: make(chan struct{})}
		g.begin()
		defer g.end()
		s.Terminate()
		c.AwaitRest()
		held.Close() // a subject that waits for its clients shall not wait for this one: the gap would be the check's
		awaitStop(c)
		g.restart()
		if _, err := c.TryStart(judge.Launch{}); err != nil {
			c.Fail("set SO_REUSEADDR to 1 before bind, and let no file or lock of the last start prevent the next one",
				"after SIGTERM and the end of all processes the restarted subject does not listen: %v; %v", judge.StartFailure(err), g)
		}
		c.MustServe(c.Visit(0))
		g.end()
		c.Note("%v", g)
	},
}

// awaitStop waits until every process has ended, and kills those that stay, as supervisors
// do. Whether they should have stayed is judged by the check term.
func awaitStop(c *judge.Case) {
	var left rig.ProcessInfos
	_, err := c.Until("the end of every process", func() (_ bool, _ string, err error) {
		left, err = c.Host.Processes()
		return len(left) == 0, left.String(), err
	})
	if err == nil {
		return
	}
	c.Note("%s after SIGTERM (term judges that), and the check kills what a supervisor would kill", scorecard.Counted(len(left), "process stays", "processes stay"))
	c.KillSubject()
}

// gap counts the clients that come while the subject is stopped and started again.
type gap struct {
	c    *judge.Case
	over chan struct{} // closed when no more clients shall come
	once sync.Once
	wait sync.WaitGroup

	mu        sync.Mutex
	restarted bool // the subject has ended and is being started
	refused   int
	cut       int // connections that ended without an answer
	first     time.Time
	last      time.Time // the first client after the gap was served, or the last one was refused
}

const (
	// arrival is the time between two clients of a host.
	arrival = 5 * time.Millisecond
	// maxServed is how many clients of each host come to a subject that goes on to serve
	// them after SIGTERM. Without clients, it comes to rest.
	maxServed = 200
)

// begin lets a client come from each host again and again. They end when they are served
// by the restarted subject.
func (g *gap) begin() {
	for i := range len(g.c.Clients) {
		g.wait.Go(func() {
			ticker := time.NewTicker(arrival)
			defer ticker.Stop()
			for served := 0; ; {
				select {
				case <-g.over:
					return
				case <-g.c.Context().Done():
					return
				case <-ticker.C:
				}
				ends := g.isRestarted()
				if served >= maxServed && !ends {
					continue
				}
				began := time.Now()
				if err := g.c.Visit(i); err != nil {
					g.failed(began, err)
					continue
				}
				if served++; ends {
					g.served()
					return
				}
			}
		})
	}
}

// restart says that the subject has ended, and is started now.
func (g *gap) restart() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.restarted = true
}

func (g *gap) isRestarted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.restarted
}

func (g *gap) failed(began time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !errors.Is(err, syscall.ECONNREFUSED) {
		g.cut++
		return
	}
	if g.refused == 0 {
		g.first = began
	}
	g.refused++
	g.last = time.Now()
}

// served notes that a client was served after the restart.
func (g *gap) served() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = time.Now()
	g.once.Do(func() { close(g.over) })
}

// end lets no more clients come, and waits for the last ones.
func (g *gap) end() {
	g.once.Do(func() { close(g.over) })
	g.wait.Wait()
}

func (g *gap) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var parts []string
	if g.refused == 0 {
		parts = append(parts, fmt.Sprintf("the port refused no client (one came every %v from each of %d hosts)", arrival, len(g.c.Clients)))
	} else {
		parts = append(parts, fmt.Sprintf("the port refused %s in %v (one came every %v from each of %d hosts)",
			scorecard.Counted(g.refused, "client", "clients"), g.last.Sub(g.first).Round(time.Millisecond), arrival, len(g.c.Clients)))
	}
	if g.cut > 0 {
		parts = append(parts, scorecard.Counted(g.cut, "connection", "connections")+" ended without an answer")
	}
	return strings.Join(parts, ", ")
}
