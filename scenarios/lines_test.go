package scenarios

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/client/tcpclient"
	"forkrig/rig"
	"forkrig/server/forkserver"
)

// TestStormSignals: what was taken can be caught, and is written the same way again.
func TestStormSignals(t *testing.T) {
	for _, list := range []string{"", "HUP,USR1", "sigusr1, SIGUSR2 ", "KILL", "STOP", "9", ",,", "SIG", "RTMIN", "SIGSIGHUP"} {
		found, err := signals(list)
		if err != nil {
			require.NotContains(t, err.Error(), "\x1b")
			continue
		}
		var names []string
		for _, s := range found {
			require.Positive(t, s)
			require.NotContains(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP}, s)
			names = append(names, rig.SignalName(s))
		}
		again, err := signals(strings.Join(names, ","))
		require.NoError(t, err)
		require.Equal(t, found, again)
	}
}

// TestServerLines: what a server writes is an event, counts or neither, and nothing
// else comes of it.
func TestServerLines(t *testing.T) {
	for _, line := range []string{`{"msg":"done","counts":{"accepted":3}}`, `{"msg":"accepted","peer":"10.0.0.1:5","worker":7}`,
		`{"msg":"listening","worker":"fork"}`, `{"worker":1e300}`, `{"peer":"[::1%x]:1","worker":-1}`, "null", `{"msg":"done"}`, `{"counts":{"accepted":-1},"msg":"done"}`} {
		if counts, err := forkserver.ParseCounts([]byte(line)); err != nil {
			require.Zero(t, counts)
			require.Contains(t, err.Error(), "parse last line of the server: ")
		}
		if e, ok := parseEvent(line); !ok {
			require.Zero(t, e)
		} else {
			require.GreaterOrEqual(t, e.Worker, 0, "a process has a number from 1 up")
		}
	}
}

// TestClientReports: any report can be judged in one line.
func TestClientReports(t *testing.T) {
	for _, line := range []string{`{"event":"report","connections":3,"ok":1,"refused":2,"errors":["first"]}`,
		`{"connections":-1}`, `{"connections":3,"ok":3}`, `{"connections":9223372036854775807,"ok":-1}`} {
		var r tcpclient.Report
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Equal(t, r.Connections == r.OK, r.Err() == nil)
	}
}
