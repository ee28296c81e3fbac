package checks

import (
	"bytes"
	"fmt"
	"strings"
)

var bytesExact = Check{
	Name:         "bytes-exact",
	Meaning:      "what comes back is what was sent, and nothing else",
	Defects:      []string{"stale-reply", "drop-first-byte"},
	conversation: answers,
	run: func(c *Case) {
		c.start("")
		if c.subject.Closes == Server {
			c.oneAnswerEach()
			return
		}
		k := c.mustDial(0)
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
			if c.subject.Service == Upper && !strings.HasSuffix(m.pieces[len(m.pieces)-1], "\n") {
				m.pieces = []string{m.pieces[0] + "\n"} // it may wait for a line
			}
			c.answered(k, m.what, m.pieces)
		}
		if c.subject.Service == Echo {
			c.answered(k, "bytes of every value, NUL among them", []string{everyByte()})
			c.megabyte(k)
			c.answered(k, "a byte after the megabyte", []string{"z"}) // finds what came too much
		}
		k.close()
	},
}

// answered sends a message in pieces, each of which arrives on its own, and checks the answer.
func (c *Case) answered(k *conn, what string, pieces []string) {
	said := strings.Join(pieces, "")
	wanted := said
	if c.subject.Service == Upper {
		wanted = strings.ToUpper(said)
	}
	for i, piece := range pieces {
		err := k.say([]byte(piece))
		if err == nil && c.subject.Service == Echo {
			err = k.expect([]byte(wanted[:len(piece)]))
			wanted = wanted[len(piece):]
		}
		c.exact(what, err)
		if i < len(pieces)-1 && c.subject.Service == Upper {
			c.exact(what, c.taken(k)) // the next piece shall be a read of its own
		}
	}
	c.exact(what, k.expect([]byte(wanted)))
}

// taken waits until the subject has read what was sent.
func (c *Case) taken(k *conn) error {
	_, err := c.until("the subject to read", func() (bool, string, error) {
		s, there, err := k.serverSocket()
		return !there || s.RecvQueue == 0, fmt.Sprintf("%d bytes unread", s.RecvQueue), err
	})
	return err
}

// oneAnswerEach checks a subject that answers once and closes.
func (c *Case) oneAnswerEach() {
	for _, said := range []string{"x\n", "a line\n", strings.Repeat("long ", 16) + "\n", "short\n"} {
		k := c.mustDial(0)
		wanted := said
		if c.subject.Service == Upper {
			wanted = strings.ToUpper(said)
		}
		err := k.say([]byte(said))
		if err == nil {
			err = k.expect([]byte(wanted))
		}
		if err == nil {
			err = k.expectEnd()
		}
		c.exact("one line", err)
		k.close()
	}
}

// megabyte sends 1 MiB while it reads the answer.
func (c *Case) megabyte(k *conn) {
	pattern := []byte(everyByte() + "with a length that is no power of two")
	said := bytes.Repeat(pattern, 1<<20/len(pattern)+1)[:1<<20]
	sent := make(chan error, 1)
	go func() { sent <- k.say(said) }()
	err := k.expect(said)
	if err != nil {
		k.close()
	}
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	c.exact("1 MiB", err)
}

func (c *Case) exact(what string, err error) {
	if err != nil {
		c.fail("answer with as many bytes as read returned, no more and no less, and write again what a short write left over",
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
