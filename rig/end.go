// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"forkrig/rig/observe"
)

// close ends the lab. The order matters: what the subject left undone is looked
// at before the subject is stopped, because stopping it makes init reap its
// zombies. Every step is taken whatever the others found.
func (l *Lab) close() error {
	l.mu.Lock()
	if l.ending {
		l.mu.Unlock()
		return nil
	}
	l.ending = true
	l.mu.Unlock()
	l.Journal.Record("lab", "end")
	ctx, cancel := l.context()
	defer cancel()

	var found []error
	for _, f := range slices.Backward(l.atEnd) { // which does not change any more
		found = append(found, f(ctx))
	}
	l.mu.Lock()
	l.closed = true
	hosts, processes, storms := l.hosts, l.processes, l.storms
	l.mu.Unlock()
	for _, storm := range storms {
		_, err := storm.Stop()
		found = append(found, err)
	}
	for _, p := range processes {
		p.Stdout.wish(wishRead) // a process that waits for room in a pipe heeds no signal
		p.Stderr.wish(wishRead)
		found = append(found, p.lastingZombies(ctx))
	}
	found = append(found, stopAll(ctx, processes)...)
	found = append(found, l.crashes())
	found = append(found, endAllLeftovers(ctx, hosts)...)
	found = append(found, l.removeDirectories())
	dog.remove(l) // which asks the namespaces
	// While the lab still has its namespaces: another may get their numbers then.
	found = append(found, namespacesInUse(hosts)...)
	for _, h := range hosts {
		observer.Remove(h.observed)
		found = append(found, h.ownSockets(), endNamespace(h.ns))
	}
	return errors.Join(found...)
}

// lastingZombies says which zombies the process will not reap.
func (p *Process) lastingZombies(ctx context.Context) error {
	if !p.Running() {
		return nil
	}
	_ = p.Thaw() // a frozen process reaps nothing; it may have ended meanwhile
	zombies, err := p.AwaitReaped(ctx)
	if !p.Running() {
		return nil // it ended while it was watched, and its zombies with it
	}
	if err == nil && len(zombies) > 0 {
		return fmt.Errorf("%v leaves %d zombies that it does not reap: %v", p, len(zombies), zombies)
	}
	return err
}

func stopAll(ctx context.Context, processes []*Process) []error {
	var wait sync.WaitGroup
	errs := make([]error, len(processes))
	for i, p := range processes {
		if p.Running() {
			wait.Go(func() { _, errs[i] = p.Stop(ctx) })
		}
	}
	wait.Wait()
	return errs
}

// endAllLeftovers looks at all hosts together.
func endAllLeftovers(ctx context.Context, hosts []*Host) []error {
	var wait sync.WaitGroup
	errs := make([]error, len(hosts))
	for i, h := range hosts {
		wait.Go(func() { errs[i] = h.endLeftovers(ctx) })
	}
	wait.Wait()
	return errs
}

// endLeftovers ends what still runs on the host although everything that was
// started there has been stopped, and names it.
func (h *Host) endLeftovers(ctx context.Context) error {
	var left ProcessInfos
	start := time.Now()
	err := awaitObserved(ctx, "no process left on "+h.Name, observe.Query{Processes: []*observe.Host{h.observed}},
		func(s *observe.Snapshot) (bool, fmt.Stringer, error) {
			var err error
			left, err = h.processesIn(s)
			return len(left) == 0 || time.Since(start) >= scaled(Settling), left, err
		})
	h.depopulate()
	if err != nil || len(left) == 0 {
		return err
	}
	return fmt.Errorf("host %s: %d processes outlived the stop of what started them: %v", h.Name, len(left), left)
}

// ownSockets names the sockets of the host that this very process has open: the
// test got them from Dial, Listen or Do and did not close them. On the way it
// destroys the connections that no process has any more.
func (h *Host) ownSockets() error {
	sockets, err := h.ns.DestroyOrphans()
	if err != nil {
		return fmt.Errorf("end the connections of %s: %w", h.Name, err)
	}
	if len(sockets) == 0 {
		return nil
	}
	fds, err := observe.ReadFDs(os.Getpid())
	if err != nil {
		return err
	}
	open := sockets.Where(func(s Socket) bool { return s.Inode != 0 && fds.Socket(s.Inode) })
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("host %s: the test left %d sockets open: %v: close what Dial and Listen return", h.Name, len(open), open)
}

// context bounds what the rig does for the lab on its own account, such as
// ending it.
func (l *Lab) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), scaled(2*patience))
}
