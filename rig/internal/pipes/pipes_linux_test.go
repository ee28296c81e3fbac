// SPDX-License-Identifier: Apache-2.0

package pipes

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestCloseWaitsForCopies: another process, or here another descriptor, has the end open for a
// moment longer.
func TestCloseWaitsForCopies(t *testing.T) {
	for name, test := range map[string]struct {
		close  func(*os.File) error
		writer bool
	}{"reader": {CloseReader, false}, "writer": {CloseWriter, true}} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			mine, other := r, w
			if test.writer {
				mine, other = w, r
			}
			defer other.Close()
			dup, err := unix.Dup(int(mine.Fd()))
			require.NoError(t, err)
			closed := make(chan error, 1)
			go func() { closed <- test.close(mine) }()
			select {
			case err := <-closed:
				t.Fatalf("it did not wait for the copy: %v", err)
			case <-time.After(50 * time.Millisecond): // it waits, as far as can be seen
			}
			require.NoError(t, unix.Close(dup))
			require.NoError(t, <-closed)
			if test.writer {
				_, err = r.Read(make([]byte, 1))
				assert.ErrorContains(t, err, "EOF")
			} else {
				_, err = w.Write([]byte("x"))
				assert.ErrorIs(t, err, unix.EPIPE)
			}
			assert.ErrorIs(t, test.close(mine), os.ErrClosed)
		})
	}
}
