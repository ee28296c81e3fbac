// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig"
)

// FullBacklog are clients that fill the queue of a listener that does not accept,
// one that is stopped for example, which takes one more than its backlog,
// and then Count more, whose SYNs the server's kernel does not answer. It holds when
// the kernel shows the queue full and each of these in SYN-SENT with its SYN sent
// again, which takes a second (RFC 6298). Clients in the queue say nothing. When
// the listener accepts again, those in the queue are served at once and the others
// as their SYNs are sent again, after 1, 3, 7 s and so on, since Linux 6.5 every
// second at first (net.ipv4.tcp_syn_linear_timeouts).
//
// A listener that accepts is an error.
// [Clients.Connections] has those in the queue first.
type FullBacklog struct{ Clients }

func (f *FullBacklog) String() string { return f.describe("find the backlog full") }

// Break implements [Fault].
func (f *FullBacklog) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	g, err := f.letLoose(lab)
	if err != nil {
		return nil, err
	}
	if err := f.fill(ctx, g); err != nil {
		return nil, errors.Join(err, g.heal(ctx))
	}
	return g.heal, nil
}

func (f *FullBacklog) fill(ctx context.Context, g *crowd) error {
	const slack = 16 // an accept that waited takes one, several threads take several
	full := false
	for n := 0; !full; n++ {
		queue, err := g.listener()
		if err != nil {
			return err
		}
		if full = queue.RecvQueue > queue.SendQueue; full {
			break
		}
		if n-int(queue.RecvQueue) > slack {
			return fmt.Errorf("the listener accepts, %v after %d connections: stop it first", queue, n)
		}
		k := g.start(silent)
		err = rig.Await(ctx, "a connection in the backlog", func() (bool, string, error) {
			now, err := g.listener()
			full = now.RecvQueue > now.SendQueue
			seen := k.seen()
			if seen.Ended {
				err = errors.Join(err, fmt.Errorf("the connection has ended: %w", seen.Err))
			}
			return full || seen.Connected, now.String(), err
		})
		if err != nil {
			return err
		}
	}
	var late []*client
	for range f.count() {
		late = append(late, g.start(silent))
	}
	answered := false // the queue was full for a moment only
	err := g.await(ctx, "SYNs without an answer", late, func(k *client, mine, _ rig.Socket) bool {
		answered = answered || k.seen().Connected
		return answered || mine.State == rig.SynSent && mine.Retransmits > 0
	})
	if err == nil && answered {
		err = errors.New("the listener accepts: stop it first")
	}
	return err
}

// listener returns the listening socket that the clients connect to.
func (g *crowd) listener() (rig.Socket, error) {
	all, err := g.server.Sockets()
	if err != nil {
		return rig.Socket{}, err
	}
	for _, s := range all.On(g.to.Port()).In(rig.Listening) {
		if at := s.Local.Addr().Unmap(); at == g.to.Addr() || at.IsUnspecified() {
			return s, nil
		}
	}
	return rig.Socket{}, fmt.Errorf("there is no listener at %v", g.to)
}

// silent says nothing and waits for the server to close, or to be healed.
func silent(_ context.Context, k *client) error { return k.read(0) }

// ResetUnaccepted are clients that connect and reset the connection before it is
// accepted (SO_LINGER with 0 in socket(7), and close). On Linux accept returns such a
// connection all the same, and the first read from it gives ECONNRESET. It holds when
// the server's kernel shows none of the connections any more, but in the queue of
// the listener. A listener that accepts first is an error: stop it. It cannot
// be healed.
type ResetUnaccepted struct{ Clients }

func (f *ResetUnaccepted) String() string { return f.describe("reset before they are accepted") }

// Break implements [Fault].
func (f *ResetUnaccepted) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	g, err := f.letLoose(lab)
	if err != nil {
		return nil, err
	}
	reset := make(chan struct{})
	for range f.count() {
		g.start(func(ctx context.Context, k *client) error {
			select {
			case <-reset:
				_ = k.conn.SetLinger(0) // an open connection takes it
				return ErrLeft
			case <-ctx.Done():
				return nil
			}
		})
	}
	accepted := false
	err = g.await(ctx, "connections that wait for accept", g.all(), func(_ *client, mine, served rig.Socket) bool {
		accepted = accepted || served.Inode != 0
		return mine.State == rig.Established && served.State == rig.Established && served.Inode == 0 || accepted
	})
	if err == nil && accepted {
		err = errors.New("the listener accepts: stop it first")
	}
	if err != nil {
		return nil, errors.Join(err, g.heal(ctx))
	}
	close(reset)
	g.wait.Wait()
	g.cancel()
	locals := map[string]bool{}
	for _, k := range g.all() {
		locals[unmapped(k.seen().Local).String()] = true
	}
	_, err = g.server.AwaitSockets(ctx, "no connection that was reset", func(all rig.Sockets) bool {
		for _, s := range all.On(g.to.Port()) {
			if locals[unmapped(s.Remote).String()] {
				return false
			}
		}
		return true
	})
	return nil, err
}
