// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"forkrig/rig"
	"forkrig/rig/inject"

	"github.com/stretchr/testify/require"
)

// serverOf is the address of a serving program, and who talks to it.
type serverOf struct {
	host   *rig.Host
	target netip.AddrPort
}

var servingCalls = []inject.Call{"accept4", "read", "write", "wait4", "waitid"}

// startServer starts the program serving with the argument, in a lab of its own,
// and waits until it listens.
func startServer(t testing.TB, argument string) (*inject.Session, serverOf) {
	t.Helper()
	const port = 7000
	host := rig.New(t).NewHost("h")
	c := rig.Program("serving", fmt.Sprint(port), argument)
	s := start(t, host, c, servingCalls...)
	_, err := host.AwaitListen(t.Context(), s.Process, port)
	require.NoError(t, err)
	return s, serverOf{host, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
}

// client is one end of a connection to a serving program.
type client struct{ net.Conn }

// connect opens a connection and sees an echo on it.
func (s serverOf) connect(t testing.TB) client {
	t.Helper()
	c, err := s.dial(t.Context())
	require.NoError(t, err)
	return c
}

func (s serverOf) dial(ctx context.Context) (client, error) {
	conn, err := s.host.Dial(ctx, s.target)
	if err != nil {
		return client{}, err
	}
	if deadline, has := ctx.Deadline(); has {
		_ = conn.SetDeadline(deadline)
	}
	c := client{conn}
	return c, c.echo()
}

func (c client) echo() error {
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	reply := make([]byte, 6)
	if _, err := io.ReadFull(c, reply); err != nil {
		return fmt.Errorf("read the echo: %w", err)
	}
	return nil
}

// end closes the connection after the server has.
func (c client) end(t testing.TB) {
	t.Helper()
	require.NoError(t, c.leave())
}

func (c client) leave() error {
	defer c.Close()
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("read %d bytes, %v instead of the end", n, err)
	}
	return nil
}
