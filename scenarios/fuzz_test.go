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

// FuzzStormSignals: what was taken can be caught, and is written the same way again.
func FuzzStormSignals(f *testing.F) {
	for _, list := range []string{"", "HUP,USR1", "sigusr1, SIGUSR2 ", "KILL", "STOP", "9", ",,", "SIG", "RTMIN", "SIGSIGHUP"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		found, err := signals(list)
		if err != nil {
			require.NotContains(t, err.Error(), "\x1b")
			return
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
	})
}

// FuzzServerLines: what a server writes is an event, counts or neither, and nothing
// else comes of it.
func FuzzServerLines(f *testing.F) {
	for _, line := range []string{`{"msg":"done","counts":{"accepted":3}}`, `{"msg":"accepted","peer":"10.0.0.1:5","worker":7}`,
		`{"msg":"listening","worker":"fork"}`, `{"worker":1e300}`, `{"peer":"[::1%x]:1","worker":-1}`, "null", `{"msg":"done"}`, `{"counts":{"accepted":-1},"msg":"done"}`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if counts, err := forkserver.ParseCounts([]byte(line)); err != nil {
			require.Zero(t, counts)
			require.Contains(t, err.Error(), "parse last line of the server: ")
		}
		if e, ok := parseEvent(line); !ok {
			require.Zero(t, e)
		} else {
			require.GreaterOrEqual(t, e.Worker, 0, "a process has a number from 1 up")
		}
	})
}

// FuzzClientReport: any report can be judged in one line.
func FuzzClientReport(f *testing.F) {
	f.Add([]byte(`{"event":"report","connections":3,"ok":1,"refused":2,"errors":["first"]}`))
	f.Add([]byte(`{"connections":-1}`))
	f.Add([]byte(`{"connections":9223372036854775807,"ok":-1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r tcpclient.Report
		if json.Unmarshal(line, &r) != nil {
			return
		}
		require.Equal(t, r.Connections == r.OK, r.Err() == nil)
	})
}
