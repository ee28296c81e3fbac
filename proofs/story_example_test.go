package proofs

import (
	"testing"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/search"
)

// TestStory12: an example, which does not fail.
//
//  1. client2 connects: connection 1
//  2. client1 connects: connection 2
//  3. connection 1 sends 200000 bytes
//  4. client2 is unplugged from the network
//  5. connection 1 sends 40 bytes
//  6. the server is stopped by SIGTERM and started again
//  7. the worker of connection 2 is killed
func TestStory12(t *testing.T) {
	t.Parallel()
	search.Replay(t, judge.Subject{
		Command:      []string{"forkrig:server", "-listen", "{ip}:{port}", "-grace", "1h", "-max-workers", "2", "-idle", "1h"},
		Service:      dialogue.MustResolve("echo"),
		Closes:       "client",
		OnTerm:       "drain",
		StormSignals: search.Signals(10, 12),
	}, 2, search.Schedule{Family: 4, Actions: []search.Action{
		{Verb: search.Connect, Conn: 1, Client: 2},
		{Verb: search.Connect, Conn: 2, Client: 1},
		{Verb: search.Send, Conn: 1, Bytes: 200000},
		{Verb: search.Unplug, Client: 2},
		{Verb: search.Send, Conn: 1, Bytes: 40},
		{Verb: search.Restart},
		{Verb: search.KillWorker, Conn: 2},
	}})
}
