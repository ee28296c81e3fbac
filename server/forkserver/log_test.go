// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// paper is a writer that takes nothing while it is held, and fails when it is full.
type paper struct {
	hold sync.Mutex

	mu   sync.Mutex
	text strings.Builder
	room int // bytes; negative is without end
}

func (p *paper) Write(b []byte) (int, error) {
	p.hold.Lock()
	defer p.hold.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room >= 0 && len(b) > p.room {
		n := p.room
		p.room = 0
		p.text.Write(b[:n])
		return n, errors.New("no room")
	}
	p.text.Write(b)
	return len(b), nil
}

func (p *paper) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Split(strings.TrimSuffix(p.text.String(), "\n"), "\n")
}

// TestLogThatNobodyReads: writing never waits, what is too much is lost and told,
// and done is the last line.
func TestLogThatNobodyReads(t *testing.T) {
	p := &paper{room: -1}
	p.hold.Lock()
	out := newOutput(p, NoDefect)
	line := []byte(strings.Repeat("x", 1<<10-1) + "\n")
	const kept = mostPending / (1 << 10)
	for range 3 * kept {
		_, err := out.Write(line)
		require.NoError(t, err)
	}
	p.hold.Unlock()
	for deadline := time.Now().Add(time.Minute); len(p.lines()) < kept && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_, err := out.Write([]byte("after\n"))
	require.NoError(t, err)
	out.done(Counts{Accepted: 7})
	_, err = out.Write([]byte("too late\n"))
	require.NoError(t, err)
	lines := p.lines()
	last := lines[len(lines)-2:]
	lost := 3*kept - (len(lines) - 3)
	assert.Equal(t, 1, strings.Count(strings.Join(lines, "\n"), fmt.Sprintf(`"msg":"log-lost","lines":%d}`, lost)))
	assert.Equal(t, "after", last[0])
	counts, err := ParseCounts([]byte(last[1]))
	require.NoError(t, err)
	assert.EqualValues(t, 7, counts.Accepted)
}

// TestLogThatCannotBeWritten: what follows begins on a line of its own.
func TestLogThatCannotBeWritten(t *testing.T) {
	p := &paper{room: 10}
	out := newOutput(p, NoDefect)
	log := out.logger(slog.LevelInfo)
	log.Info("first")
	lost := func() int {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.lost
	}
	for deadline := time.Now().Add(time.Minute); lost() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	p.mu.Lock()
	p.room = -1
	p.mu.Unlock()
	log.Info("second")
	out.done(Counts{})
	lines := p.lines()
	require.Len(t, lines, 4, lines)
	assert.Len(t, lines[0], 10)
	assert.Contains(t, lines[1], `"msg":"log-lost","lines":1}`)
	assert.Contains(t, lines[2], "second")
	assert.Contains(t, lines[3], "done")
}

// TestLogThatLacksOneByte: a line without its end is no lost line.
func TestLogThatLacksOneByte(t *testing.T) {
	out := &output{w: &paper{room: 5}, more: make(chan struct{}, 1)}
	out.lose(out.write([]byte("first\nsecond\n")))
	assert.Equal(t, 1, out.lost)
}

// TestLogDoneDoesNotWaitForEver: nobody reads, and the server ends.
func TestLogDoneDoesNotWaitForEver(t *testing.T) {
	p := &paper{room: -1}
	p.hold.Lock()
	out := newOutput(p, NoDefect)
	out.done(Counts{})
	p.hold.Unlock()
	<-out.flushed
}
