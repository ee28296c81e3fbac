// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"forkrig/rig"
)

// Clients are what all faults have in common that connect to a server and
// misbehave until they are healed. Healed, they end as clients should: they close
// their sending side, read on until the server closes its own or is silent for
// [rig.Settling], and close.
//
// A fault of clients is given to [Apply] as a pointer, and tells afterwards what
// became of each connection.
type Clients struct {
	From *rig.Host      // the host that they connect from
	To   netip.AddrPort // of a host of the lab
	// Count is how many there are, each with one connection; 0 means 1.
	Count int

	crowd *crowd // since they were let loose
}

// Connection is what became of one client's connection.
type Connection struct {
	// Local is the client's address; without an IP where it did not connect.
	Local netip.AddrPort
	// Connected says whether the server's kernel answered.
	Connected bool
	// Sent is how many bytes the client's kernel took, Received how many the client
	// read.
	Sent, Received int64
	// Answer is the beginning of what was received, up to 64 KiB.
	Answer []byte
	// Ended says whether the connection is over, and Err by what: nil means that
	// both sides closed it, [ErrLeft] that the client left, and ECONNRESET is a reset.
	Ended bool
	Err   error
}

// ErrLeft is how a connection ended that the client, healed, closed before the
// server did, or gave up before it was answered.
var ErrLeft = errors.New("the client left first")

// Connections returns what has become of each connection so far.
func (c *Clients) Connections() []Connection {
	if c.crowd == nil {
		return nil
	}
	var all []Connection
	for _, k := range c.crowd.all() {
		all = append(all, k.seen())
	}
	return all
}

func (c *Clients) count() int { return max(c.Count, 1) }

func (c *Clients) describe(do string) string {
	return fmt.Sprintf("%d clients on %v %s", c.count(), c.From, do)
}

// crowd are clients that were let loose.
type crowd struct {
	from, server *rig.Host
	to           netip.AddrPort

	ctx    context.Context // ends when they are healed
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu      sync.Mutex
	clients []*client
}

func (c *Clients) letLoose(lab *rig.Lab) (*crowd, error) {
	switch {
	case c.From == nil:
		return nil, errors.New("the clients have no host: name one")
	case !c.To.IsValid():
		return nil, errors.New("the clients have no address to connect to: name one")
	case c.Count < 0:
		return nil, fmt.Errorf("%d clients: give a number from 0 up", c.Count)
	case c.crowd != nil && c.crowd.ctx.Err() == nil:
		return nil, errors.New("these clients are applied already: heal them first, or make other ones")
	}
	server := lab.Owner(c.To.Addr())
	if c.To.Addr().IsLoopback() {
		server = c.From
	}
	if server == nil {
		return nil, fmt.Errorf("no host of the lab has the address %v: the clients watch both sides of a connection", c.To.Addr())
	}
	g := &crowd{from: c.From, server: server, to: c.To}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	c.crowd = g
	return g, nil
}

func (g *crowd) all() []*client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.clients)
}

// heal has every client end and returns when all have.
func (g *crowd) heal(context.Context) error {
	g.cancel()
	g.wait.Wait()
	return nil
}

// start has a new client connect and then do what it is for, in the background,
// and end when the crowd is healed.
func (g *crowd) start(act func(ctx context.Context, k *client) error) *client {
	k := &client{}
	g.mu.Lock()
	g.clients = append(g.clients, k)
	g.mu.Unlock()
	g.wait.Go(func() {
		err := g.connect(k)
		if err == nil {
			stopped := make(chan struct{})
			stop := context.AfterFunc(g.ctx, func() {
				_ = k.conn.SetDeadline(time.Unix(1, 0)) // what waits, ends
				close(stopped)
			})
			if err = act(g.ctx, k); !stop() {
				<-stopped
			}
			if errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
				err = g.leave(k)
			}
			k.conn.Close()
		}
		k.end(err)
	})
	return k
}

func (g *crowd) connect(k *client) error {
	dialer := net.Dialer{KeepAlive: -1, ControlContext: func(_ context.Context, _, _ string, raw syscall.RawConn) error {
		return k.bind(raw, g.to.Addr().Is4())
	}}
	var conn net.Conn
	err := g.from.Do(func() (err error) {
		conn, err = dialer.DialContext(g.ctx, "tcp", g.to.String())
		return err
	})
	if err != nil {
		if g.ctx.Err() != nil {
			return ErrLeft
		}
		return plain(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn = conn.(*net.TCPConn)
	k.Connected = true
	k.Local = k.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	return nil
}

// bind gives the client its port, so that it is known while it still connects.
func (k *client) bind(raw syscall.RawConn, ipv4 bool) (err error) {
	controlErr := raw.Control(func(fd uintptr) {
		var any syscall.Sockaddr = &syscall.SockaddrInet6{}
		if ipv4 {
			any = &syscall.SockaddrInet4{}
		}
		if err = os.NewSyscallError("bind", syscall.Bind(int(fd), any)); err != nil {
			return
		}
		bound, nameErr := syscall.Getsockname(int(fd))
		err = os.NewSyscallError("getsockname", nameErr)
		k.mu.Lock()
		defer k.mu.Unlock()
		switch bound := bound.(type) {
		case *syscall.SockaddrInet4:
			k.Local = netip.AddrPortFrom(netip.Addr{}, uint16(bound.Port))
		case *syscall.SockaddrInet6:
			k.Local = netip.AddrPortFrom(netip.Addr{}, uint16(bound.Port))
		}
	})
	return errors.Join(controlErr, err)
}

// client is one connection.
type client struct {
	mu sync.Mutex
	Connection
	conn *net.TCPConn // set once connected; owned by the client's goroutine
	said bool         // all that it had to say has been said
}

func (k *client) seen() Connection {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := k.Connection
	seen.Answer = slices.Clone(seen.Answer)
	return seen
}

func (k *client) end(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Ended, k.Err = true, err
}

// say sends all of b.
func (k *client) say(b []byte) error {
	n, err := k.conn.Write(b)
	k.mu.Lock()
	k.Sent += int64(n)
	k.mu.Unlock()
	return plain(err)
}

func (k *client) hasSaidAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said = true
}

// read reads until the end of the stream, which is nil, or an error. Where each is
// not 0 it waits no longer than that for something to come.
func (k *client) read(each time.Duration) error {
	const kept = 64 << 10
	b := make([]byte, 32<<10)
	for {
		if each > 0 {
			_ = k.conn.SetReadDeadline(time.Now().Add(each)) // an open connection takes it
		}
		n, err := k.conn.Read(b)
		k.mu.Lock()
		k.Received += int64(n)
		k.Answer = append(k.Answer, b[:min(n, kept-len(k.Answer))]...)
		k.mu.Unlock()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return plain(err)
		}
	}
}

// converse calls speak while it reads, and returns when the server has closed the
// connection or the crowd is healed.
func (k *client) converse(speak func() error) error {
	var spoken error
	var speaking sync.WaitGroup
	speaking.Go(func() { spoken = speak() })
	err := k.read(0)
	_ = k.conn.SetDeadline(time.Unix(1, 0)) // ends a write that still waits
	speaking.Wait()
	if err == nil && !errors.Is(spoken, os.ErrDeadlineExceeded) {
		err = spoken
	}
	return err
}

// leave ends the connection as a client should. It waits for the settling time for
// something to come, and again while the server's kernel has bytes for it: after a window of
// zero that kernel asks ever more rarely whether there is room, and what tells it before, the
// window update, may be lost on a busy machine.
func (g *crowd) leave(k *client) error {
	const longest = 4       // settling times
	_ = k.conn.CloseWrite() // what is wrong with the connection shows in the read
	for waited := 1; ; waited++ {
		err := k.read(rig.Scaled(rig.Settling))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if waited == longest || !g.hasBytesFor(k) {
			return ErrLeft
		}
	}
}

// hasBytesFor says whether the server's kernel has sent the client something that has not
// been acknowledged, or has yet to send it.
func (g *crowd) hasBytesFor(k *client) bool {
	ours, ourErr := g.from.Sockets()
	theirs, theirErr := g.server.Sockets()
	_, served := k.sides(ours, theirs, unmapped(g.to))
	return errors.Join(ourErr, theirErr) == nil && served.SendQueue > 0
}

// plain takes off what packages net and rig put around an error of a call.
func plain(err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

// sides returns the sockets of the connection on the client's host and on the
// server's. A state of 0 is a socket that is not there.
func (k *client) sides(ours, theirs rig.Sockets, to netip.AddrPort) (mine, served rig.Socket) {
	port := k.seen().Local.Port()
	for _, s := range ours.On(port) {
		if unmapped(s.Remote) == to {
			mine = s
		}
	}
	for _, s := range theirs.On(to.Port()) {
		if mine.State != 0 && unmapped(s.Remote) == unmapped(mine.Local) {
			served = s
		}
	}
	return mine, served
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// shown says whether the kernel shows that a client misbehaves as it should: by
// the client's own socket and the server's, whose state is 0 where there is none.
type shown func(k *client, mine, served rig.Socket) bool

// await waits until the kernel shows it of each client.
func (g *crowd) await(ctx context.Context, what string, clients []*client, yes shown) error {
	return rig.Await(ctx, what, func() (bool, string, error) {
		// Before the sockets: of one that has ended by now, they show the end.
		before := make([]Connection, len(clients))
		for i, k := range clients {
			before[i] = k.seen()
		}
		ours, err := g.from.Sockets()
		if err != nil {
			return false, "", err
		}
		theirs, err := g.server.Sockets()
		if err != nil {
			return false, "", err
		}
		for i, k := range clients {
			mine, served := k.sides(ours, theirs, unmapped(g.to))
			if yes(k, mine, served) {
				continue
			}
			if now := before[i]; now.Ended {
				return false, "", fmt.Errorf("the connection has ended: %w", cmpError(now.Err, io.EOF))
			}
			return false, fmt.Sprintf("client %v; server %v", mine, served), nil
		}
		return true, "", nil
	})
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// misbehave lets the clients loose and waits until the kernel shows it.
func (c *Clients) misbehave(ctx context.Context, lab *rig.Lab, what string,
	act func(ctx context.Context, k *client) error, yes shown) (func(context.Context) error, error) {
	g, err := c.letLoose(lab)
	if err != nil {
		return nil, err
	}
	for range c.count() {
		g.start(act)
	}
	if err := g.await(ctx, what, g.all(), yes); err != nil {
		return nil, errors.Join(err, g.heal(ctx))
	}
	return g.heal, nil
}
