// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func whole64(p payload) []byte {
	b := make([]byte, p.size)
	p.fill(b, 0)
	return b
}

func TestPayloadIsTextAndDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, seed := range []uint64{0, 1, 1 << 40} {
		for connection := range 30 {
			for message := range 10 {
				b := whole64(newPayload(seed, connection, message, 64))
				require.Equal(t, 63, bytes.IndexByte(b, '\n'))
				require.Empty(t, strings.Trim(string(b[:63]), alphabet))
				// Upper case tells them apart as well, and so does half of a message.
				upper.reply(b)
				require.False(t, seen[string(b[20:52])], "distinct")
				seen[string(b[20:52])] = true
			}
		}
	}
	one := whole64(newPayload(1, 0, 0, 1))
	assert.Contains(t, alphabet, string(one))
}

func FuzzPayloadInPieces(f *testing.F) {
	f.Add(uint64(1), uint16(64), uint8(7))
	f.Add(uint64(2), uint16(1), uint8(0))
	f.Add(uint64(3), uint16(1000), uint8(8))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16, piece uint8) {
		p := newPayload(seed, 2, 3, int(size)+1)
		want := whole64(p)
		got := make([]byte, p.size)
		for offset := 0; offset < p.size; {
			n := min(int(piece)+1, p.size-offset)
			p.fill(got[offset:offset+n], offset)
			offset += n
		}
		require.Equal(t, want, got)
	})
}

func TestServiceReply(t *testing.T) {
	t.Parallel()
	b := []byte("az AZ `{@[ 09\xe4\n")
	echo.reply(b)
	assert.Equal(t, "az AZ `{@[ 09\xe4\n", string(b))
	upper.reply(b)
	assert.Equal(t, "AZ AZ `{@[ 09\xe4\n", string(b))
}

func TestCompare(t *testing.T) {
	t.Parallel()
	assert.Nil(t, compare([]byte("abc"), []byte("abc"), 5))
	wrong := compare([]byte("abcdefghijklmnopqrstuvwxyz"), []byte("abXdefghijklmnopqrstuvwxyz"), 5)
	assert.Equal(t, `wrong byte at offset 7: expected "cdefghijklmnopqr", got "Xdefghijklmnopqr"`, wrong.Error())
	wrong = compare([]byte("abc"), []byte("abd"), 0)
	assert.Equal(t, `wrong byte at offset 2: expected "c", got "d"`, wrong.Error())
}
