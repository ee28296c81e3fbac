// SPDX-License-Identifier: Apache-2.0

package compress

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReader(t *testing.T) {
	text := strings.Repeat("a line of text\n", 10000)
	for _, suffix := range append(Suffixes(), "", ".ko") {
		t.Run(suffix, func(t *testing.T) {
			packed := []byte(text)
			switch suffix {
			case ".gz":
				var b bytes.Buffer
				w := gzip.NewWriter(&b)
				_, err := io.WriteString(w, text)
				require.NoError(t, err)
				require.NoError(t, w.Close())
				packed = b.Bytes()
			case ".xz", ".zst":
				argv, err := program(suffix)
				if err != nil || argv[0] != "xz" && argv[0] != "zstd" {
					t.Skipf("no program packs %s files", suffix)
				}
				cmd := exec.Command(argv[0], "-c")
				cmd.Stdin = strings.NewReader(text)
				packed, err = cmd.Output()
				require.NoError(t, err)
			}
			r, err := NewReader(t.Context(), suffix, bytes.NewReader(packed))
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			assert.Equal(t, text, string(got))
			require.NoError(t, r.Close())

			if suffix != "" && suffix != ".ko" {
				cut, err := NewReader(t.Context(), suffix, bytes.NewReader(packed[:len(packed)-4]))
				require.NoError(t, err)
				_, err = io.ReadAll(cut)
				require.Error(t, err, "a file that was cut short")
				require.NoError(t, cut.Close())
			}
		})
	}
}

// TestCloseBeforeTheEnd leaves most of a file unread.
func TestCloseBeforeTheEnd(t *testing.T) {
	if Can(".xz") != nil {
		t.Skip("no program reads .xz files")
	}
	read, write, err := os.Pipe() // it never ends
	require.NoError(t, err)
	defer write.Close()
	defer read.Close()
	r, err := NewReader(t.Context(), ".xz", read)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Can(".xz")
	require.EqualError(t, err, "nothing here decompresses .xz files: install xz or busybox or python3")
	require.ErrorAs(t, err, new(*MissingError))
	require.NoError(t, Can(".gz"))
}
