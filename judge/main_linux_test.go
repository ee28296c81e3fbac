// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/internal/testserver"
	"forkrig/rig"
	"forkrig/rig/inject"
)

func TestMain(m *testing.M) {
	rig.Main(m, rig.Programs{"echo": echo, "speak": speak, "frail": frail, "modelled": modelled, "setting": setting, "impatient": impatient, "inject": inject.Shim})
}

// echo is a small server: it echoes, without a process for each connection.
func echo(args []string) int {
	return serve(args[1], testserver.Echo)
}

// deferring accepts a connection when bytes have come (TCP_DEFER_ACCEPT in tcp(7)).
var deferring = testserver.WithOption(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 3600)

// serve serves each connection and closes it then.
func serve(address string, serve func(net.Conn)) int {
	return serveAt(net.ListenConfig{}, address, serve)
}

func serveAt(listening net.ListenConfig, address string, serve func(net.Conn)) int {
	listening.SetMultipathTCP(false)
	return testserver.RunWith(listening, address, serve)
}

// impatient is a server that ends a connection that stays silent.
func impatient(args []string) int {
	return serve(args[1], func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond)) // cannot fail on an open connection
		_, _ = conn.Read(make([]byte, 1))
	})
}
