// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/rig"
)

// TestPacketsNameTheWorker: once the descriptors of a worker were read, the packets of its socket name it.
func TestPacketsNameTheWorker(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 1)
	r := recorder.Record(lab)
	defer r.Stop()
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 9999)
	p := serveEcho(t, server, address)
	conn, err := clients[0].Dial(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close()
	workers, err := p.AwaitDescendants(t.Context(), "a worker", func(l rig.ProcessInfos) bool { return len(l) == 1 })
	require.NoError(t, err)
	_, err = server.Processes()
	require.NoError(t, err)
	sockets, err := server.AwaitSockets(t.Context(), "the connection", func(s rig.Sockets) bool { return len(s.In(rig.Established)) == 1 })
	require.NoError(t, err)
	inode := sockets.In(rig.Established)[0].Inode
	var fds rig.FDs
	// While a worker moves its connection to another descriptor, a look at them may miss it.
	require.NoError(t, rig.Await(t.Context(), "the worker's connection among its descriptors", func() (bool, string, error) {
		fds, err = server.FDs(workers[0])
		return fds.Socket(inode), fds.String(), err
	}))
	_, err = conn.Write([]byte("hello\n"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 6))
	require.NoError(t, err)
	r.Stop()

	got := r.Recording("story", recorder.Outcome{})
	answers := 0
	for _, e := range got.Events {
		if e.Packet == nil || e.Packet.From != "server" || e.Packet.Bytes == 0 {
			continue
		}
		answers++
		require.Positive(t, e.Process, "%s in\n%s", e.Text, eventTexts(got))
		assert.Equal(t, workers[0].PID, got.Processes[e.Process-1].PID)
	}
	assert.Positive(t, answers)
	named := 0
	for _, f := range got.Frames {
		if f.Process > 0 {
			named++
		}
	}
	assert.Positive(t, named)

	worker := slices.IndexFunc(got.Processes, func(p recorder.Process) bool { return p.PID == workers[0].PID })
	require.GreaterOrEqual(t, worker, 0)
	counts := got.Processes[worker].Descriptors
	require.NotEmpty(t, counts)
	assert.Equal(t, len(fds), counts[len(counts)-1].Count)
	assert.Greater(t, counts[0].At, got.Processes[worker].Began)
}
