// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSignalsOfALivingProcess(t *testing.T) {
	t.Parallel()
	c := stoppable("ignoring")
	p := startReady(t, New(t).NewHost("h"), c)
	masks, err := p.Signals()
	require.NoError(t, err)
	assert.True(t, masks.Ignored.Has(syscall.SIGUSR1), masks.Ignored.String())
	assert.True(t, masks.Caught.Has(syscall.SIGTERM), "the Go runtime catches it: %v", masks.Caught)
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"))
	f.Fuzz(func(t *testing.T, written []byte) {
		output := newOutput()
		output.collect(newChunks(written))
		for _, line := range output.Lines() {
			if len(line) > outputLineBytes {
				t.Errorf("a line of %d bytes was kept", len(line))
			}
		}
		want := 0
		for i, b := range written {
			if b == '\n' || i == len(written)-1 {
				want++
			}
		}
		if output.Total() != want {
			t.Errorf("%d lines of %q, want %d", output.Total(), written, want)
		}
	})
}

// newChunks returns a reader that gives out less than it is asked for, as a
// pipe may.
func newChunks(data []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(data)) }
