// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"bytes"
	"errors"
	"strings"
	"syscall"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/scorecard"
)

var bytesExact = judge.Check{
	Name:    "bytes-exact",
	Meaning: "what comes back is what was sent, and nothing else",
	Defects: []string{"stale-reply", "drop-first-byte"},
	Judges:  []scorecard.Stimulus{scorecard.Conversation},
	Needs:   []dialogue.Ability{dialogue.Answers},
	Run: func(c *judge.Case) {
		c.Start("")
		switch {
		case !judge.AnswersAnything(c.Service):
			exactRounds(c)
			return
		case c.Service.Lacks(dialogue.Repeats) != "":
			oneAnswerEach(c)
			return
		}
		k := c.MustDial(0)
		long := strings.Repeat("a line that is longer than those after it\n", 20)
		for _, m := range []struct {
			what   string
			pieces []string
		}{
			{"one byte", []string{"x"}},
			{"a line", []string{"a line\n"}},
			{"a long message", []string{long}},
			{"a short one after it", []string{"short\n"}},
			{"a message in pieces of one byte", strings.Split("in pieces\n", "")},
			{"two messages at once", []string{"one\ntwo\n"}},
			{"an empty line", []string{"\n"}},
			{"the last byte", []string{"y"}},
		} {
			if c.AnswersLines() && !strings.HasSuffix(m.pieces[len(m.pieces)-1], "\n") {
				m.pieces = []string{m.pieces[0] + "\n"} // it may wait for a line
			}
			checkAnswer(c, k, m.what, m.pieces)
		}
		if !c.AnswersLines() {
			checkAnswer(c, k, "every byte value, NUL included", []string{everyByte()})
			megabyte(c, k)
			checkAnswer(c, k, "a byte after the megabyte", []string{"z"}) // finds surplus bytes
		}
		k.Close()
	},
}

// checkAnswer sends a message in pieces, each of which arrives on its own, and checks the answer.
func checkAnswer(c *judge.Case, k *judge.Conn, what string, pieces []string) {
	said := strings.Join(pieces, "")
	wanted := c.Answer(said)
	for i, piece := range pieces {
		err := k.Send([]byte(piece))
		if err == nil && !c.AnswersLines() {
			err = k.Expect([]byte(wanted[:len(piece)]))
			wanted = wanted[len(piece):]
		}
		mustBeExact(c, what, err)
		if i < len(pieces)-1 && c.AnswersLines() {
			mustBeExact(c, what, k.AwaitRead()) // the next piece shall be a read of its own
		}
	}
	mustBeExact(c, what, k.Expect([]byte(wanted)))
}

// oneAnswerEach checks a subject that answers once and closes.
func oneAnswerEach(c *judge.Case) {
	for _, said := range []string{"x\n", "a line\n", strings.Repeat("long ", 16) + "\n", "short\n"} {
		k := c.MustDial(0)
		err := k.Send([]byte(said))
		if err == nil {
			err = k.Expect([]byte(c.Answer(said)))
		}
		if err == nil {
			err = k.ExpectEnd()
		}
		mustBeExact(c, "one line", err)
		k.Close()
	}
}

// exactRounds checks a service whose answers are those of its dialogue: each reply is read
// byte by byte, however the requests are cut.
func exactRounds(c *judge.Case) {
	rounds := 1
	if c.Service.Lacks(dialogue.Repeats) == "" {
		rounds = 3
	}
	stories := []struct {
		what string
		say  func(*judge.Conn) error
	}{
		{"one request after the other", func(k *judge.Conn) (err error) {
			for i := 0; i < rounds && err == nil; i++ {
				err = k.Exchange()
			}
			return err
		}},
		{"a request in pieces of one byte", (*judge.Conn).ExchangeByBytes},
	}
	if c.Service.Lacks(dialogue.Pipelines) == "" {
		stories = append(stories, struct {
			what string
			say  func(*judge.Conn) error
		}{"three requests at once", func(k *judge.Conn) error { return k.ExchangeAtOnce(rounds) }})
	}
	for _, story := range stories {
		k := c.MustDial(0)
		err := k.Hello()
		if err == nil {
			err = story.say(k)
		}
		if err == nil && rounds > 1 {
			err = k.ExpectNoMore()
		}
		if err == nil {
			err = k.End()
		}
		k.Close()
		switch {
		case errors.Is(err, syscall.EPIPE):
			c.Fail("read all of a request before the connection is closed: it may come in any number of pieces",
				"%s: the subject closes the connection before it has read the request: %v", story.what, err)
		case err != nil:
			c.Fail("write exactly the reply that the dialogue expects, however many pieces the request comes in",
				"%s: %v", story.what, err)
		}
	}
	c.Note("%d conversations of %s; each reply is that of the dialogue", len(stories), scorecard.Counted(rounds, "request", "requests"))
}

// megabyte sends 1 MiB while it reads the answer.
func megabyte(c *judge.Case, k *judge.Conn) {
	pattern := []byte(everyByte() + "with a length that is no power of two")
	said := bytes.Repeat(pattern, 1<<20/len(pattern)+1)[:1<<20]
	sent := make(chan error, 1)
	go func() { sent <- k.Send(said) }()
	err := k.Expect(said)
	if err != nil {
		k.Close()
	}
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	mustBeExact(c, "1 MiB", err)
}

func mustBeExact(c *judge.Case, what string, err error) {
	if err != nil {
		c.Fail("write exactly the bytes that read returned, and the rest after a short write",
			"%s: %v", what, err)
	}
}

func everyByte() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return string(all)
}
