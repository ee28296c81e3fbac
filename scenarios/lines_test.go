// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/client/tcpclient"
	"forkrig/server/forkserver"
)

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
