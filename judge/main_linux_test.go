// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"forkrig/rig"
)

func TestMain(m *testing.M) { rig.Main(m, rig.Programs{"echo": echo, "speak": speak}) }

// echo is a small server: it echoes, without a process for each connection.
func echo(args []string) int {
	return serve(args[1], func(conn net.Conn) { _, _ = io.Copy(conn, conn) }) // an error means that the client has left
}

// serve serves each connection and closes it then.
func serve(address string, serve func(net.Conn)) int {
	listener, err := net.Listen("tcp", address)
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
