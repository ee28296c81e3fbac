// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// row is a TCP socket over IPv4 as /proc/net/tcp shows it: see proc_pid_net(5). It may have no
// process any more.
type row struct {
	local, remote int // ports
	state         uint8
	timer         time.Duration // until its timer fires; 0 where none is armed
}

// rows returns the TCP sockets of the namespace over IPv4.
func (n *namespace) rows() []row {
	text, err := os.ReadFile("/proc/thread-self/net/tcp")
	n.must(err, "read the list of sockets")
	rows, err := parseRows(string(text))
	n.must(err, "read the list of sockets")
	return rows
}

// hasRow says whether a socket on a local port is in a state.
func (n *namespace) hasRow(port int, state uint8) bool {
	return slices.ContainsFunc(n.rows(), func(r row) bool { return r.local == port && r.state == state })
}

// parseRows parses the lines after the first, which is a title.
func parseRows(text string) (rows []row, err error) {
	const ticks = 100 // of a second, in which the kernel counts here (USER_HZ)
	_, lines, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(lines) {
		var number string
		var addresses [2]uint32
		var queues [2]uint64
		var kind, left int
		var r row
		_, err := fmt.Sscanf(line, "%s %x:%x %x:%x %x %x:%x %x:%x", &number, &addresses[0], &r.local, &addresses[1], &r.remote,
			&r.state, &queues[0], &queues[1], &kind, &left)
		if err != nil {
			return nil, fmt.Errorf("parse %q: %w", line, err)
		}
		if kind != 0 {
			r.timer = time.Duration(left) * time.Second / ticks
		}
		rows = append(rows, r)
	}
	return rows, nil
}
