// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tcpSocket is a line of /proc/net/tcp.
type tcpSocket struct {
	localPort, remotePort string // in hexadecimal
	state                 string // one of those below
	timer                 string
}

// States and timers of a tcpSocket.
const (
	tcpEstablished = "01"
	tcpTimeWait    = "06"

	noTimer        = "00"
	keepAliveTimer = "02"
)

func tcpSockets(tb testing.TB) (all []tcpSocket) {
	tb.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(tb, err)
	for line := range strings.Lines(string(table)) { // sl local remote state tx:rx timer:expires ...
		f := strings.Fields(line)
		_, local, _ := strings.Cut(f[1], ":")
		_, remote, _ := strings.Cut(f[2], ":")
		timer, _, _ := strings.Cut(f[5], ":")
		all = append(all, tcpSocket{localPort: local, remotePort: remote, state: f[3], timer: timer})
	}
	return all
}

// hexPort is the port in address as /proc/net/tcp writes it.
func hexPort(tb testing.TB, address string) string {
	tb.Helper()
	at, err := net.ResolveTCPAddr("tcp", address)
	require.NoError(tb, err)
	return fmt.Sprintf("%04X", at.Port)
}

// tcpSocketBetween returns the socket that local has for its connection with remote.
func tcpSocketBetween(tb testing.TB, local, remote string) tcpSocket {
	tb.Helper()
	for _, s := range tcpSockets(tb) {
		if s.localPort == hexPort(tb, local) && s.remotePort == hexPort(tb, remote) {
			return s
		}
	}
	return tcpSocket{}
}

// inTimeWait reports whether a connection at the local address is in TIME_WAIT.
func inTimeWait(tb testing.TB, address string) bool {
	tb.Helper()
	for _, s := range tcpSockets(tb) {
		if s.localPort == hexPort(tb, address) && s.state == tcpTimeWait {
			return true
		}
	}
	return false
}
