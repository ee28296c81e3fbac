package checks

var resetSurvived = Check{
	Name:    "reset-survived",
	Meaning: "a reset ends the worker and nothing else",
	Defects: []string{"worker-ignores-reset"},
	clients: 2,
	run: func(c *Case) {
		c.smallBuffers()
		s := c.start("")
		bystander := c.mustDial(0)
		c.mustServe(bystander.begin())
		for _, story := range []struct {
			what string
			act  func(*conn)
		}{
			{"a client that waits for nothing", func(*conn) {}},
			{"a client whose request is on its way", func(k *conn) {
				said, _ := c.message(0)
				_ = k.say([]byte(said)) // whether it is answered is not the point
			}},
			{"a client in the middle of an answer", func(k *conn) {
				if c.subject.Service != None && c.subject.Closes == Client {
					k.fill()
				}
			}},
		} {
			k := c.mustDial(1)
			c.mustServe(k.begin())
			who := c.serving(s, k)
			story.act(k)
			k.reset()
			_, err := c.until("the end of the reset connection", func() (bool, string, error) {
				all, err := c.host.Processes()
				for _, info := range inBoth(all.Alive(), who) {
					if !s.isOwn(info) {
						return false, s.role(info) + " lives: " + info.String(), err
					}
				}
				return true, "", err
			})
			if err != nil {
				c.fail("after ECONNRESET the connection is dead for good: end the worker at every error of read or write but EINTR",
					"the worker of %s lives on after the reset: %v", story.what, firstLine(err))
			}
			s.survives("a reset by "+story.what, "an error of one connection is no reason to end the listener")
		}
		if err := bystander.finish(); err != nil {
			c.fail("an error of one connection concerns no other", "after resets by others the conversation of a bystander breaks: %v", err)
		}
		c.note("three resets, each ended its worker alone")
	},
}
