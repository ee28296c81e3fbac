// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var floodFlag = flag.Int("flood-mib", 16, "how many MiB the test of hostile output writes to each stream")

// flooding writes its argument's number of MiB to both streams as fast as it can,
// in pieces that are full of NUL bytes, escape sequences and bytes that are no UTF-8;
// stdout has no line end, and stderr has nothing but short lines.
func flooding(args []string) int {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return 2
	}
	const piece = 1 << 20
	unbroken := bytes.Repeat([]byte("\x00\x1b[2J\xff\r\x1b]0;title\a\u202e"), piece/20)
	lines := bytes.Repeat([]byte("--- PASS: x\x1b[31m\n"), piece/16)
	for range n {
		for stream, text := range map[*os.File][]byte{os.Stdout: unbroken, os.Stderr: lines} {
			if _, err := stream.Write(text); err != nil {
				return 1
			}
		}
	}
	return 0
}

// TestFloodOfOutputIsBounded: the rig reads all of it, keeps little, and does not
// stand still. -flood-mib=1024 writes 1 GiB to each stream.
func TestFloodOfOutputIsBounded(t *testing.T) {
	before := residentBytes(t)
	start := time.Now()
	p := New(t).NewHost("h").MustStart(Program("flooding", strconv.Itoa(*floodFlag)))
	var most int64
	for p.Running() {
		most = max(most, residentBytes(t))
		waitBriefly(p)
	}
	require.Zero(t, p.exit().Code, "it wrote everything")
	for _, output := range []*Output{p.Stdout, p.Stderr} {
		require.NoError(t, output.AwaitEnd(t.Context()))
		kept := 0
		for _, line := range output.Lines() {
			kept += len(line)
			assert.LessOrEqual(t, len(line), outputLineBytes)
		}
		assert.LessOrEqual(t, kept, (outputHead+outputTail)*outputLineBytes)
	}
	assert.Equal(t, 1, p.Stdout.Total())
	assert.Equal(t, *floodFlag*(1<<20/16), p.Stderr.Total())
	// Other tests run in this process; what is bounded is a fraction of what was written.
	assert.Less(t, most-before, int64(48<<20), "resident memory grew from %d to %d bytes", before, most)
	t.Logf("%d MiB to each stream in %v, resident memory at most %d MiB more", *floodFlag,
		time.Since(start).Round(time.Millisecond), (most-before)>>20)
}

// waitBriefly returns when the process has ended, or soon.
func waitBriefly(p *Process) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	select {
	case <-p.Ended():
	case <-ctx.Done():
	}
}

// residentBytes is the memory of this process that is in use (VmRSS in proc_pid_status(5)).
func residentBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found)
	kib, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
	require.NoError(t, err)
	return kib << 10
}
