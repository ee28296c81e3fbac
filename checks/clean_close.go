// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
)

var cleanClose = judge.Check{
	Name:    "clean-close",
	Meaning: "a connection ends with FIN and not with a reset, and only after the whole reply",
	Defects: []string{"close-with-unread-input", "linger-zero", "drop-on-half-close"},
	Run: func(c *judge.Case) {
		s := c.Start("")
		once := c.Service.Lacks(dialogue.Repeats) != ""
		switch {
		case c.Service.Lacks(dialogue.Answers) != "":
			silentHalfClose(c)
		case !judge.AnswersAnything(c.Service):
			wholeConversation(c)
			if !once {
				afterAnAnswer(c)
			}
		case once:
			// It owes an answer to the first line at least. To leave the second unread and
			// close is what destroys that answer.
			for _, request := range []request{
				{what: "one line, and the client closes its sending side", lines: 1, halfClose: true},
				{what: "two lines at once", lines: 2},
			} {
				askBeforeAccept(c, s, request)
			}
		default:
			afterAnAnswer(c)
			askBeforeAccept(c, s, request{what: "many lines, and the client closes its sending side", lines: 800, halfClose: true})
		}
		s.MustSurvive("the end of a conversation", "go on when a connection ends: it must not end the listener")
		s.AwaitWorkersEnd("the client left")
	},
}

// silentHalfClose ends the client's side of a connection on which nothing was said: the
// subject owes nothing, and has no reason for a reset.
func silentHalfClose(c *judge.Case) {
	k := c.MustDial(0)
	c.MustServe(k.AwaitAccepted())
	_ = k.CloseWrite() // an error shows in what is read: the subject has reset the connection
	got, err := readToEnd(k)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		failReset(c, "a client says nothing and closes its sending side", fmt.Sprintf("%d bytes come", len(got)))
	case err != nil:
		c.Note("the subject keeps the connection of a client that says nothing and closes its sending side")
	default:
		c.Note("a client that says nothing and closes its sending side sees the end of the stream")
	}
	k.Close()
}

// wholeConversation says the whole dialogue of a service of its own.
func wholeConversation(c *judge.Case) {
	k := c.MustDial(0)
	k.TakeNoReset()
	err := k.Finish()
	if errors.Is(err, syscall.ECONNRESET) {
		failReset(c, "a client says the whole dialogue of the service", "an answer comes")
	}
	c.MustServe(err)
	k.Close()
}

// afterAnAnswer ends the client's side when nothing is owed any more.
func afterAnAnswer(c *judge.Case) {
	k := c.MustDial(0)
	c.MustServe(k.Exchange())
	_ = k.CloseWrite() // as above
	got, err := readToEnd(k)
	if !judge.AnswersAnything(c.Service) {
		got = nil // it may take leave in its own words
	}
	judgeEnd(c, "a client that has its answer closes its sending side", "", string(got), err)
	k.Close()
}

// request is what a client says at once.
type request struct {
	what      string
	lines     int
	halfClose bool // the client closes its sending side after it
}

// askBeforeAccept makes a request on a connection that the subject has not accepted yet, so
// that it finds all of it, and the end, when it first reads.
func askBeforeAccept(c *judge.Case, s *judge.Instance, r request) {
	said := strings.Repeat("a line of a client\n", r.lines) // fits into the receive buffer
	owed := c.Answer(said)
	once := c.Service.Lacks(dialogue.Repeats) != ""
	if once {
		owed = owed[:len(owed)/r.lines]
	}
	thaw := s.Freeze()
	k := c.MustDial(0)
	err := k.Send([]byte(said))
	if err == nil && r.halfClose {
		err = k.CloseWrite()
	}
	c.Must(err)
	last, err := c.Until("the request to arrive", func() (bool, string, error) {
		socket, _, err := k.ServerSocket()
		return !r.halfClose && int(socket.RecvQueue) == len(said) || socket.State == rig.CloseWait, socket.String(), err
	})
	thaw()
	if err != nil {
		c.Broken("the request of a client does not arrive: %s", last)
	}
	got, err := readToEnd(k)
	if once && bytes.HasPrefix(got, []byte(owed)) {
		got = got[:len(owed)] // it may answer the second line, too
	}
	judgeEnd(c, r.what, owed, string(got), err)
	c.Note("%s: %d bytes of answer and the end of the stream", r.what, len(got))
	k.Close()
}

// readToEnd reads what comes until the end of the stream.
func readToEnd(k *judge.Conn) ([]byte, error) {
	all := make([]byte, 1<<20) // many times what any answer here has
	n, err := k.ReadFull(all)
	if errors.Is(err, io.EOF) {
		return all[:n], nil
	}
	if err == nil {
		err = errors.New("the subject sends on without end")
	}
	return all[:n], err
}

// judgeEnd compares what came, and how the connection ended, with what is owed.
func judgeEnd(c *judge.Case, what, owed, got string, err error) {
	came := "nothing more comes"
	if owed != "" {
		came = fmt.Sprintf("%d of %d bytes of the answer come", len(got), len(owed))
	}
	switch {
	case !strings.HasPrefix(owed, got):
		c.Broken("wrong bytes come (bytes-exact judges that): %q instead of %q", cut(got), cut(owed))
	case errors.Is(err, syscall.ECONNRESET):
		failReset(c, what, came)
	case err != nil:
		c.Fail("answer what the client said, and close the connection when read returns 0: then the client has closed its sending side",
			"%s: %s, and no end of the stream: %v", what, came, err)
	case len(got) < len(owed):
		c.Fail("write the whole answer before the connection is closed: a client that closes its sending side still reads",
			"%s: %s, and then the end of the stream", what, came)
	}
}

func failReset(c *judge.Case, what, came string) {
	c.Fail("read until read returns 0 before close, and do not set SO_LINGER to 0: close with unread input or with SO_LINGER 0 sends a reset",
		"%s: %s, and then a reset, which destroys what is still on its way", what, came)
}

// cut is the begin of a text that may be long.
func cut(text string) string {
	const maxShown = 60
	if len(text) > maxShown {
		return text[:maxShown] + "…"
	}
	return text
}
