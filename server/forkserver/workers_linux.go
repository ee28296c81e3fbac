// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// workers is the table of the server's live workers, and the only place that
// records them, waits for them and kills them.
//
// A worker is started and recorded, and waited for and forgotten, under one
// lock. So no worker is waited for before it is recorded, however fast it
// ends, and no signal goes to a process ID that has been given away.
type workers struct {
	log    *slog.Logger
	defect Defect
	ended  chan struct{} // holds a token if workers ended since it was last taken
	due    atomic.Bool   // there may be workers to wait for, see reapDue
	short  atomic.Bool   // accept was short of something; only a defect asks

	mu      sync.Mutex     // released by unlock
	live    map[int]uint64 // from process ID to the value that started had
	started uint64
	ghosts  int // workers that have ended and still count; only with a defect
	reaped  uint64
	killed  uint64
}

func newWorkers(log *slog.Logger, defect Defect) *workers {
	return &workers{log: log, defect: defect, ended: make(chan struct{}, 1), live: make(map[int]uint64)}
}

// start records the worker that spawn starts. It calls started, where it did
// start, before anybody can wait for the worker.
func (w *workers) start(spawn func() (pid int, err error), started func(pid int)) error {
	w.mu.Lock()
	defer w.unlock()
	if w.defect == LateReap {
		w.reap()
	}
	pid, err := spawn()
	if err != nil {
		return err
	}
	w.started++
	w.live[pid] = w.started
	started(pid)
	return nil
}

// count returns how many workers live.
func (w *workers) count() int {
	w.mu.Lock()
	defer w.unlock()
	return len(w.live) + w.ghosts
}

// counted returns how many workers were reaped and how many were killed so far.
func (w *workers) counted() (reaped, killed uint64) {
	w.mu.Lock()
	defer w.unlock()
	return w.reaped, w.killed
}

// reapOn waits for the workers that ended whenever SIGCHLD arrives. The
// channel holds one signal, so one that comes during a round causes another
// round, and none is missed.
func (w *workers) reapOn(sigchld <-chan os.Signal) {
	for range sigchld {
		if w.defect == LateReap || w.defect == NoReapAfterShortage && w.short.Load() {
			continue
		}
		w.due.Store(true)
		w.reapDue()
	}
}

// reapDue reaps if that is due. If the lock is taken it does not wait for it, because unlock
// calls it again: under load the thread that accepts has the lock most of the time, and two
// threads that wait for each other are put to sleep and woken several times per worker.
func (w *workers) reapDue() {
	for w.due.Load() && w.mu.TryLock() {
		w.due.Store(false)
		w.reap()
		w.mu.Unlock()
		select {
		case w.ended <- struct{}{}:
		default:
		}
	}
}

// unlock releases the lock, and reaps if that came due meanwhile.
func (w *workers) unlock() {
	w.mu.Unlock()
	w.reapDue()
}

// spin waits for the next worker in a busy loop; only with a defect.
func (w *workers) spin() {
	for {
		w.due.Store(true)
		w.reapDue()
	}
}

// reap waits for all workers that have ended. Signals coalesce, so one stands
// for any number of workers and each round goes on until nobody is left to
// wait for. The caller holds the lock.
func (w *workers) reap() {
	if w.defect == LeakOneIn64 {
		for pid, nth := range w.live {
			if nth%64 != 0 {
				w.wait(pid, unix.WNOHANG)
			}
		}
		return
	}
	options := unix.WNOHANG
	if w.defect == BlockingWait {
		options = 0
	}
	for w.wait(-1, options) {
		if w.defect == SingleWait {
			return
		}
	}
}

// wait waits for one worker, or for any if pid is -1, and reports whether
// there was one. The caller holds the lock.
func (w *workers) wait(pid, options int) bool {
	if w.defect == NoReap {
		return false
	}
	var status unix.WaitStatus
	pid, err := unix.Wait4(pid, &status, options, nil)
	for err == unix.EINTR {
		pid, err = unix.Wait4(pid, &status, options, nil)
	}
	if err != nil || pid == 0 {
		return false
	}
	if _, ours := w.live[pid]; !ours {
		return true // inherited from what this process was before exec
	}
	delete(w.live, pid)
	w.reaped++
	if status.Signaled() {
		switch w.defect {
		case CountKilled:
			w.ghosts++
		case ExitOnKilledWorker:
			os.Exit(1)
		case SpinOnKilledWorker:
			go w.spin()
		}
		w.log.Info("reaped", "worker", pid, "signal", unix.SignalName(status.Signal()))
	} else {
		w.log.Info("reaped", "worker", pid, "status", status.ExitStatus())
	}
	return true
}

// drain waits until no worker is left, or grace has passed. A signal on stop
// meanwhile ends it with an error.
func (w *workers) drain(grace time.Duration, stop <-chan os.Signal) error {
	over := time.After(grace)
	for w.count() > 0 {
		select {
		case <-w.ended:
			if w.defect == DrainForOne {
				return nil
			}
		case <-over:
			return nil
		case s := <-stop:
			return fmt.Errorf("stop in order: second signal %s", signalName(s))
		}
	}
	return nil
}

// kill ends the workers that are left with SIGKILL, and waits for them.
func (w *workers) kill() {
	w.mu.Lock()
	defer w.unlock()
	if len(w.live) == 0 {
		return
	}
	w.log.Warn("killed", "workers", len(w.live))
	for pid := range w.live {
		if unix.Kill(pid, unix.SIGKILL) == nil {
			w.killed++
		}
		w.wait(pid, 0)
	}
}
