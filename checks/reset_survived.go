// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/dialogue"
	"forkrig/judge"
)

var resetSurvived = judge.Check{
	Name:    "reset-survived",
	Meaning: "a reset ends the worker and nothing else",
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
		for _, story := range stories {
			k := c.MustDial(1)
			c.MustServe(k.Begin())
			who := s.Serving(k)
			story.act(k)
			k.Reset()
			_, err := c.Until("the end of the worker of the reset connection", func() (bool, string, error) {
				all, err := c.Host.Processes()
				for _, info := range judge.InBoth(all.Alive(), who) {
					if !s.IsOwn(info) {
						return false, s.Role(info) + " lives: " + info.String(), err
					}
				}
				return true, "", err
			})
			if err != nil {
				c.Fail("the connection does not recover from ECONNRESET: end the worker on every error of read or write except EINTR",
					"the worker of %s lives on after the reset: %v", story.what, judge.FirstLine(err))
			}
			s.MustSurvive("a reset by "+story.what, "an error of one connection must not end the listener: end only its worker")
		}
		if err := bystander.Finish(); err != nil {
			c.Fail("an error of one connection must not affect another one: end only its worker",
				"after the resets by other clients the conversation of a bystander breaks: %v", err)
		}
		c.Note("%d resets; each ended only its own worker", len(stories))
	},
}
