// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"io"

	"forkrig/scorecard"
)

// howItEnded says in words how a connection ended for the client that read to its end.
func howItEnded(err error) string {
	if errors.Is(err, io.EOF) {
		return "the end of the stream"
	}
	return err.Error()
}

func connections(n int) string { return scorecard.Counted(n, "connection", "connections") }

func times(n uint64) string { return scorecard.Counted(int(n), "time", "times") }
