// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"

	"forkrig/dialogue"
	"forkrig/judge"
)

var resetSurvived = judge.Check{
	Name:    "reset-survived",
	Meaning: "a reset ends its connection and the worker of that connection, and nothing else",
	Defects: []string{"worker-ignores-reset"},
	Clients: 2,
	Run: func(c *judge.Case) {
		c.SmallBuffers()
		s := c.Start("")
		bystander := c.MustDial(0)
		c.MustServe(bystander.Begin())
		stories := []struct {
			what string
			act  func(*judge.Conn)
		}{
			{"an idle client", func(*judge.Conn) {}},
			{"a client with a request in flight", func(k *judge.Conn) {
				_ = k.Ask() // whether it is answered is not the point
			}},
			{"a client in the middle of an answer", func(k *judge.Conn) { k.Fill() }},
		}
		if c.Service.Lacks(dialogue.Bulk) != "" {
			stories = stories[:2] // no answer is so long that it waits
		}
		for i, story := range stories {
			k, err := begin(c)
			switch {
			case err != nil && i > 0:
				survived(s, stories[i-1].what) // it may have taken its time
			case errors.Is(err, judge.ErrQuiescent):
				c.Note("the subject serves one client at a time, so there is no bystander")
				c.CloseConnections()
				bystander = nil
				k, err = begin(c)
			}
			c.MustServe(err)
			who := s.Serving(k)
			inode, err := k.ServerInode()
			c.Must(err)
			story.act(k)
			k.Reset()
			last, err := c.UntilTimer(who, "the end of the reset connection", func() (bool, string, error) {
				workers, err := s.Workers()
				if living := judge.InBoth(workers, who); len(living) > 0 {
					return false, s.Describe(living) + " lives on", err
				}
				open := judge.InBoth(c.Holders(inode), who)
				return len(open) == 0, "the connection is still open in " + s.Describe(open), err
			})
			if err != nil {
				c.Fail("close the connection on every error of read or write but EINTR and EAGAIN, and end its worker: a connection does not recover from ECONNRESET",
					"after the reset of %s: %s: %v", story.what, last, judge.FirstLine(err))
			}
			survived(s, story.what)
		}
		c.Note("%d resets; each ended only its own connection", len(stories))
		if bystander == nil {
			return
		}
		if err := bystander.Finish(); err != nil && !c.EndsSilent(bystander) {
			c.Fail("close only the connection that was reset: its error must not affect another one",
				"after the resets by other clients the conversation of a bystander breaks: %v", err)
		}
	},
}

// begin has another client served.
func begin(c *judge.Case) (*judge.Conn, error) {
	k, err := c.Dial(1)
	if err != nil {
		return nil, err
	}
	return k, k.Begin()
}

// survived checks that the listener serves on after a reset.
func survived(s *judge.Instance, who string) {
	s.MustSurvive("a reset by "+who, "handle the error of a connection (in Node.js: on 'error') and close only that one: it must not end the listener")
}
