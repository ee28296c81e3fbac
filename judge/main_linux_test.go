// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/inject"
)

func TestMain(m *testing.M) {
	rig.Main(m, rig.Programs{"echo": echo, "speak": speak, "frail": frail, "modelled": modelled, "setting": setting, "inject": inject.Shim})
}

// echo is a small server: it echoes, without a process for each connection.
func echo(args []string) int {
	return serve(args[1], func(conn net.Conn) { _, _ = io.Copy(conn, conn) }) // an error means that the client has left
}

// deferring accepts a connection when bytes have come (TCP_DEFER_ACCEPT in tcp(7)).
var deferring = net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
	const seconds = 60
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
	})
	return errors.Join(controlErr, err)
}}

// serve serves each connection and closes it then.
func serve(address string, serve func(net.Conn)) int {
	return serveAt(net.ListenConfig{}, address, serve)
}

func serveAt(listening net.ListenConfig, address string, serve func(net.Conn)) int {
	listening.SetMultipathTCP(false)
	network := "tcp"
	if strings.HasPrefix(address, "0.0.0.0:") {
		network = "tcp4" // otherwise it listens on [::]
	}
	listener, err := listening.Listen(context.Background(), network, address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return 1
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}
