package checks

import "forkrig/rig"

var peerGone = Check{
	Name:    "peer-gone",
	Meaning: "clients that are gone before they are accepted, or before they are answered, do not end the listener",
	Defects: []string{"no-sigpipe"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		c.mustServe(c.visit(0))
		const cause = "a write to a connection that was reset gives EPIPE, and SIGPIPE ends a process that has no other wish: ignore SIGPIPE (or send with MSG_NOSIGNAL) and handle EPIPE and ECONNRESET"
		gone := min(5, int(s.backlog())) // more might not get in
		// Stopped, the listener accepts connections that are dead already.
		for _, leave := range []struct {
			what string
			act  func(*conn)
		}{
			{"clients that reset before they are accepted", (*conn).reset},
			{"clients that speak and reset before they are accepted", func(k *conn) {
				said, _ := c.message(0)
				_ = k.say([]byte(said)) // the kernel takes it
				k.reset()
			}},
			{"clients that speak and close before they are accepted", func(k *conn) {
				said, _ := c.message(0)
				_ = k.say([]byte(said)) // the kernel takes it
				k.close()
			}},
		} {
			s.freeze()
			for range gone {
				leave.act(c.mustDial(1))
			}
			c.thaw(s.starters())
			s.survives(leave.what, cause)
		}
		s.workersEnd("clients that were gone")
		c.note("%d clients were gone before they were accepted", 3*gone)
	},
}

// backlog returns how many connections the kernel holds for accept.
func (s *server) backlog() uint32 {
	sockets, err := s.c.host.Sockets()
	s.c.must(err)
	for _, k := range sockets.In(rig.Listening) {
		if k.Inode == s.listener.Inode {
			return k.SendQueue
		}
	}
	return 0
}
