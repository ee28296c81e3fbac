// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func framed(t testing.TB, frames ...frame) []byte {
	var b bytes.Buffer
	for _, f := range frames {
		require.NoError(t, f.writeTo(&b))
	}
	return b.Bytes()
}

// readAll returns the records, and the error after them.
func readAll(data []byte) ([]frame, error) {
	var all []frame
	for r := bufio.NewReader(bytes.NewReader(data)); ; {
		f, err := readFrame(r)
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

func TestFrames(t *testing.T) {
	sent := []frame{{frameReady, []byte("{}")}, {frameOutput, []byte("text\n" + frameMark + "x")}, {frameEnd, []byte{}}}
	data := framed(t, sent...)
	got, err := readAll(append([]byte("noise of a boot loader \xf0\x9f\r\n"), data...))
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, sent, got)

	for n := range data {
		got, err := readAll(data[:n])
		require.ErrorIs(t, err, io.EOF, "cut after %d bytes", n)
		require.Less(t, len(got), len(sent))
		for i := range got {
			assert.Equal(t, sent[i], got[i])
		}
	}
	for i := len(frameMark); i < frameHeader+2; i++ { // any bit of the first record but its mark
		damaged := bytes.Clone(data)
		damaged[i] ^= 1
		got, err := readAll(damaged)
		assert.Empty(t, got, "byte %d", i)
		assert.Error(t, err)
	}
	huge := bytes.Clone(data)
	huge[len(frameMark)+1] = 0xff
	_, err = readAll(huge)
	require.ErrorIs(t, err, errFrame)
}

func FuzzReadFrame(f *testing.F) {
	f.Add(framed(f, frame{frameReady, []byte("{}")}, frame{frameEnd, nil}))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readAll(data)
		require.Error(t, err)
		again, err := readAll(framed(t, all...))
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, all, again)
	})
}

func TestConsole(t *testing.T) {
	var c console
	for i := range 30 {
		_, err := c.Write([]byte{'l', 'i', 'n', 'e', ' ', byte('A' + i), '\r', '\n', '\n'})
		require.NoError(t, err)
	}
	c.Write([]byte("\x1b[31mwithout an end"))
	c.Write(bytes.Repeat([]byte("x"), 1<<20))
	lines := c.last()
	require.Len(t, lines, consoleLines)
	assert.Equal(t, "line L", lines[0])
	assert.Equal(t, "[31mwithout an end", lines[19][:18])
	assert.LessOrEqual(t, len(lines[19]), consoleWidth)
}

// TestOutput has a flood: its first bytes come at once, its last at the end.
func TestOutput(t *testing.T) {
	var sent bytes.Buffer
	o := output{limit: 10, send: func(p []byte) { sent.Write(p) }}
	o.take([]byte("0123456"))
	assert.Equal(t, "0123456", sent.String())
	o.take([]byte("789ab"))
	assert.Equal(t, "0123456789", sent.String())
	o.take(bytes.Repeat([]byte("."), 3*tailSize))
	o.take([]byte("the end"))
	assert.Equal(t, 10, sent.Len())
	assert.EqualValues(t, 2+2*tailSize+7, o.end())
	assert.Equal(t, 10+tailSize, sent.Len())
	assert.Equal(t, "the end", sent.String()[sent.Len()-7:])
}
