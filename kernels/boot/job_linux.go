// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guest runs the jobs of a plan and writes records. Its first process is the parent of all
// processes: it reaps every one, and the jobs it starts without package os/exec, which would
// wait for them, too.
type guest struct {
	plan plan

	mu   sync.Mutex
	line *os.File
	err  error // the first of the line

	hasChildren bool          // since the reaper has found none
	children    chan struct{} // tells the reaper that there are some
	reaped      chan ended
}

// ended is a process that has ended, and of pid 0 that there is none left.
type ended struct {
	pid    int
	status unix.WaitStatus
}

func newGuest(p plan, line *os.File) *guest {
	g := &guest{plan: p, line: line, children: make(chan struct{}), reaped: make(chan ended)}
	go g.reap()
	return g
}

func (g *guest) send(f frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = f.writeTo(g.line)
	}
}

func (g *guest) sendJSON(kind frameKind, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // the types here have no value that JSON lacks
	}
	g.send(frame{kind, data})
}

// do runs one job.
func (g *guest) do(number int) {
	job := g.plan.Jobs[number]
	g.sendJSON(frameStart, number)
	r := Result{Name: job.Name}
	begin := time.Now()
	if err := g.run(job, &r); err != nil {
		r.Status, r.Err = 126, err.Error()
	}
	r.Wall = time.Since(begin)
	g.sendJSON(frameResult, r)
}

func (g *guest) run(job Job, r *Result) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	pid, err := g.start(job, write)
	write.Close()
	if err != nil {
		return err
	}
	// The score of this process, which the kernel spares, is inherited.
	os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0) // it may have ended

	out := output{limit: g.plan.Output, send: func(p []byte) { g.send(frame{frameOutput, p}) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.copy(read)
	}()
	quit := time.AfterFunc(job.Limit, func() { unix.Kill(pid, unix.SIGQUIT) }) // it may say where it stands
	kill := time.AfterFunc(job.Limit+quitGrace, endAll)
	status := g.await(pid, nil)
	if kill.Stop(); !quit.Stop() {
		r.Err = fmt.Sprintf("it was ended at its time limit of %v", job.Limit)
	}
	r.Status = status.ExitStatus()
	if status.Signaled() {
		r.Status = 128 + int(status.Signal())
	}
	endAll() // what the job has left
	g.await(0, time.After(drainLimit))
	read.SetReadDeadline(time.Now().Add(drainLimit)) // a process that cannot die holds its output
	<-done
	r.Dropped = out.end()
	return nil
}

// start starts a job in a session of its own.
func (g *guest) start(job Job, write *os.File) (pid int, err error) {
	path := job.Argv[0]
	if !strings.Contains(path, "/") {
		if path, err = exec.LookPath(path); err != nil {
			return 0, err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	dir := job.Dir
	if dir == "" {
		dir = "/tmp"
	}
	pid, err = syscall.ForkExec(path, job.Argv, &syscall.ProcAttr{
		Dir:   dir,
		Env:   append(os.Environ(), job.Env...),
		Files: []uintptr{null.Fd(), write.Fd(), write.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("execute %s: %w", path, err)
	}
	if !g.hasChildren {
		g.hasChildren = true
		g.children <- struct{}{}
	}
	return pid, nil
}

// endAll ends every process of the guest but this one (kill(2)).
func endAll() { unix.Kill(-1, unix.SIGKILL) }

// reap reaps every process that ends, and reports it.
func (g *guest) reap() {
	for range g.children {
		for {
			var e ended
			var err error
			e.pid, err = unix.Wait4(-1, &e.status, 0, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil { // ECHILD
				g.reaped <- ended{}
				break
			}
			g.reaped <- e
		}
	}
}

// await waits until a process has ended, of pid 0 until all have, or until it is late.
func (g *guest) await(pid int, late <-chan time.Time) unix.WaitStatus {
	for g.hasChildren {
		select {
		case e := <-g.reaped:
			if g.hasChildren = e.pid != 0; e.pid == pid {
				return e.status
			}
		case <-late:
			return 0
		}
	}
	return 0
}
