package tcpclient

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// serve runs handle for every connection until the test ends, and closes the connection
// after it. It returns the address.
func serve(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", handle)
}

func serveOn(t *testing.T, address string, handle func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	var mu sync.Mutex
	var open []net.Conn
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			handlers.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		handlers.Wait()
	})
	return listener.Addr().String()
}

// transform serves each read through f, to the end of the stream.
func transform(f func([]byte) []byte) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if _, err := conn.Write(f(buffer[:n])); err != nil {
				return
			}
		}
	}
}

func same(b []byte) []byte { return b }

var (
	serveEcho  = transform(same)
	serveUpper = transform(bytes.ToUpper)
)

// oneShot answers one read and closes first.
func oneShot(conn *net.TCPConn) {
	buffer := make([]byte, 64<<10)
	if n, err := conn.Read(buffer); err == nil {
		conn.Write(buffer[:n])
	}
}

// reset closes the connection with a reset.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// readEnd reads to the end and says how it ended: errEOF, ECONNRESET or another error.
func readEnd(conn *net.TCPConn) error {
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return ending(err)
	}
	return errEOF
}

// ending reduces the error that ends a connection to how it ended.
func ending(err error) error {
	switch {
	case err == io.EOF:
		return errEOF
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return syscall.ECONNRESET
	}
	return err
}

// echoEnds echoes and tells how each connection ended.
func echoEnds(ends chan<- error) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err == nil {
				_, err = conn.Write(buffer[:n])
			}
			if err != nil {
				ends <- ending(err)
				return
			}
		}
	}
}

// message reads one message of n bytes.
func message(conn *net.TCPConn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil
	}
	return b
}

// refusing returns an address at which connections are refused: its port is bound, so that
// nobody else can listen there, and does not listen.
func refusing(t *testing.T) string {
	t.Helper()
	return bound(t, -1)
}

// overloaded returns an address that lets one connection wait in its queue, accepts none,
// and drops what comes after it.
func overloaded(t *testing.T) string {
	t.Helper()
	return bound(t, 0)
}

func bound(t *testing.T, backlog int) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if backlog >= 0 {
		require.NoError(t, syscall.Listen(fd, backlog))
	}
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := name.(*syscall.SockaddrInet4)
	return (&net.TCPAddr{IP: address.Addr[:], Port: address.Port}).String()
}
