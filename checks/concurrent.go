package checks

import "errors"

var concurrent = Check{
	Name:    "concurrent",
	Meaning: "a silent client holds up nobody",
	Defects: []string{"serial"},
	clients: 2,
	run: func(c *Case) {
		c.start("")
		silent := c.mustDial(0)
		c.mustServe(silent.accepted())
		if err := c.visit(1); err != nil {
			if errors.Is(err, errStuck) {
				c.fail("one client that says nothing keeps all others out: give each connection a process or thread of its own, or wait for all of them with poll",
					"a client is not served while another one is connected and silent: %v", err)
			}
			c.broken("the client that speaks is not served: %v", err)
		}
		if err := silent.finish(); err != nil {
			c.fail("a client may take its time", "the silent client is not served when it speaks at last: %v", err)
		}
	},
}
