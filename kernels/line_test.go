// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

func someLines() []Line {
	return []Line{
		{Asked: "K15"},
		{Answer: &probes.Answer{ID: "K15", Name: "clients\nof two lines", Value: "1 of 3 connect"}},
		{Bind: &probes.BindRow{State: probes.TimeWait, OtherUser: true, First: "::only", Second: "0.0.0.0", Answers: ".b.b lf.x .... bbbb"}},
		{Result: &scorecard.Result{Name: "reap", Family: "IPv4", Verdict: scorecard.Pass}},
		{Card: &scorecard.Card{Subject: "a server", Complete: true, Checks: []scorecard.Result{{Name: "reap", Family: "IPv4", Verdict: scorecard.Pass}}}},
	}
}

// TestHearer: lines are the same wherever the text is cut, with words between them.
func TestHearer(t *testing.T) {
	var text bytes.Buffer
	for i, l := range someLines() {
		require.NoError(t, l.Say(&text))
		fmt.Fprintf(&text, "word %d\r\n\n", i)
	}
	text.WriteString(`{"other":"a log of JSON"}` + "\n{}\n{\"asked\":\n\x1b[2Jthe last one has no end")
	for size := 1; size <= 300; size++ {
		var said []Line
		h := &hearer{said: func(l Line) { said = append(said, l) }}
		for piece := range bytes.SplitSeq(pieces(text.Bytes(), size), []byte{0}) {
			n, err := h.Write(piece)
			require.NoError(t, err)
			require.Equal(t, len(piece), n)
		}
		h.end()
		require.Len(t, said, len(someLines()), "in pieces of %d", size)
		for i, wanted := range someLines() {
			var a, b bytes.Buffer
			require.NoError(t, wanted.Say(&a))
			require.NoError(t, said[i].Say(&b))
			require.Equal(t, a.String(), b.String())
		}
		require.Equal(t, []string{"word 0", "word 1", "word 2", "word 3", "word 4", `{"other":"a log of JSON"}`, "{}", `{"asked":`, `\x1b[2Jthe last one has no end`}, h.other)
	}
}

// pieces returns the text with a zero after each piece of that size.
func pieces(text []byte, size int) (all []byte) {
	for len(text) > size {
		all = append(append(all, text[:size]...), 0)
		text = text[size:]
	}
	return append(all, text...)
}

// TestHearerIsBounded: of a flood the last words are kept, and of a line without an end its begin.
func TestHearerIsBounded(t *testing.T) {
	said := 0
	h := &hearer{said: func(Line) { said++ }}
	for i := range 10_000 {
		fmt.Fprintf(h, "word %d\n", i)
	}
	require.Len(t, h.other, keptWords)
	assert.Equal(t, "word 9999", h.other[keptWords-1])
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 3 * longestLine >> 20 {
		_, _ = h.Write(block)
		require.LessOrEqual(t, len(h.begun), longestLine)
	}
	fmt.Fprint(h, "\n{\"asked\":\"K15\"}\n")
	assert.Equal(t, 1, said, "the line after it")
	assert.Equal(t, strings.Repeat("x", longestWord), h.other[keptWords-1])
}

func FuzzHearer(f *testing.F) {
	f.Add([]byte("{\"asked\":\"K15\"}\nwords\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		c := &Column{}
		h := &hearer{said: c.enter}
		cut = min(max(cut, 0), len(text))
		_, _ = h.Write(text[:cut])
		_, _ = h.Write(text[cut:])
		h.end()
		again := &Column{}
		whole := &hearer{said: again.enter}
		_, _ = whole.Write(text)
		whole.end()
		require.Equal(t, whole.other, h.other)
		require.Equal(t, again, c)
	})
}

// TestColumnEnters what a kernel says, until it dies.
func TestColumnEnters(t *testing.T) {
	c := Column{}
	c.enter(Line{Asked: "K15"})
	c.enter(Line{Answer: &probes.Answer{ID: "K15", Value: "1"}})
	c.enter(Line{Asked: "K17"})
	assert.Equal(t, []string{"K17"}, c.asked, "without an answer")
	c.enter(Line{Bind: &probes.BindRow{State: probes.Bound}})
	c.enter(Line{Result: &scorecard.Result{Name: "reap", Verdict: scorecard.Fail}})
	c.enter(Line{})
	assert.Len(t, c.Answers, 1)
	assert.Len(t, c.Binds, 1)
	require.NotNil(t, c.Card, "of the checks that have ended")
	assert.False(t, c.Card.Complete)
	assert.Equal(t, "the end of the kernel", c.Card.EndedBy)
	assert.False(t, c.Right())
	c.enter(Line{Card: &scorecard.Card{Complete: true, Checks: []scorecard.Result{{Name: "reap", Verdict: scorecard.Pass}}}})
	assert.True(t, c.Card.Complete)
	assert.Len(t, c.Card.Checks, 1, "those of the card, once")
	assert.True(t, c.Right())
	assert.True(t, Column{}.Right())
}
