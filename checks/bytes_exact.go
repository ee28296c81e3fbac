// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"bytes"
	"fmt"
	"strings"

	"forkrig/judge"
)

var bytesExact = judge.Check{
	Name:    "bytes-exact",
	Meaning: "what comes back is what was sent, and nothing else",
	Defects: []string{"stale-reply", "drop-first-byte"},
	Needs:   judge.Answers,
	Run: func(c *judge.Case) {
		c.Start("")
		if c.Subject.Closes == judge.Server {
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
			if c.Subject.Service == judge.Upper && !strings.HasSuffix(m.pieces[len(m.pieces)-1], "\n") {
				m.pieces = []string{m.pieces[0] + "\n"} // it may wait for a line
			}
			checkAnswer(c, k, m.what, m.pieces)
		}
		if c.Subject.Service == judge.Echo {
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
	wanted := c.Subject.Service.Answer(said)
	for i, piece := range pieces {
		err := k.Send([]byte(piece))
		if err == nil && c.Subject.Service == judge.Echo {
			err = k.Expect([]byte(wanted[:len(piece)]))
			wanted = wanted[len(piece):]
		}
		mustBeExact(c, what, err)
		if i < len(pieces)-1 && c.Subject.Service == judge.Upper {
			mustBeExact(c, what, awaitRead(c, k)) // the next piece shall be a read of its own
		}
	}
	mustBeExact(c, what, k.Expect([]byte(wanted)))
}

// awaitRead waits until the subject has read what was sent.
func awaitRead(c *judge.Case, k *judge.Conn) error {
	_, err := c.Until("the subject to read", func() (bool, string, error) {
		s, there, err := k.ServerSocket()
		return !there || s.RecvQueue == 0, fmt.Sprintf("%d bytes unread", s.RecvQueue), err
	})
	return err
}

// oneAnswerEach checks a subject that answers once and closes.
func oneAnswerEach(c *judge.Case) {
	for _, said := range []string{"x\n", "a line\n", strings.Repeat("long ", 16) + "\n", "short\n"} {
		k := c.MustDial(0)
		err := k.Send([]byte(said))
		if err == nil {
			err = k.Expect([]byte(c.Subject.Service.Answer(said)))
		}
		if err == nil {
			err = k.ExpectEnd()
		}
		mustBeExact(c, "one line", err)
		k.Close()
	}
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
		c.Fail("the answer is not what was sent: write exactly the bytes that read returned, and the rest after a short write",
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
