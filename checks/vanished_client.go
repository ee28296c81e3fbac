// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var vanishedClient = judge.Check{
	Name:    "vanished-client",
	Meaning: "a client whose host vanishes does not keep its worker for ever",
	Defects: []string{"no-keepalive"},
	Clients: 2,
	Run: func(c *judge.Case) {
		// Keep-alive as the kernel has it by default asks after two hours. Here it
		// asks after a second.
		for _, name := range []string{"time", "intvl", "probes"} {
			c.Must(c.Host.SetSysctl("net.ipv4.tcp_keepalive_"+name, "1"))
		}
		s := c.Start("")
		k := c.MustDial(1)
		c.MustServe(k.Begin())
		c.AwaitRest() // the worker has set what it sets
		who := s.Serving(k)
		inode, err := k.ServerInode()
		c.Must(err)
		if inode == 0 {
			c.Skip("the subject does not keep a connection open for its client")
		}
		endurance, err := endurance(c, who, inode)
		c.Must(err)
		after, why := silentLifetime(endurance)
		timed := after == 0 && c.HasTimer(who)
		c.Apply(fault.Unplugged{Host: c.Clients[1]})
		vanished := time.Now()

		switch {
		case timed:
			c.Skip("the process waits with a timer whose purpose is not visible; the connection has neither keep-alive nor a timeout")
		case after == 0 && judge.HasTimeouts(c.Service):
			c.Warn("set SO_KEEPALIVE and TCP_KEEPIDLE, unless the server ends a silent connection by a timeout of its own",
				"the connection of a vanished client has no keep-alive, and its process sleeps")
		case after == 0:
			c.Fail("read waits for ever without keep-alive or a timeout: set SO_KEEPALIVE and TCP_KEEPIDLE, or SO_RCVTIMEO; "+
				"if that is meant, use -by-design vanished-client",
				"the connection of a vanished client has neither keep-alive nor a timeout, and its process sleeps")
		case after > maxWatchTime:
			c.Note("%s ends the connection after %v", why, after)
			return
		}
		ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(after+maxWatchTime))
		defer cancel()
		there, err := c.Host.AwaitSockets(ctx, "the end of the vanished client's connection", func(all rig.Sockets) bool {
			return !slices.ContainsFunc(all, func(k rig.Socket) bool { return k.Inode == inode })
		})
		if err != nil {
			c.Fail("read fails with ETIMEDOUT or EAGAIN after the timeout: close the connection then",
				"%s should end the connection of a vanished client after %v, but it is still open: %v", why, after, there.On(c.Subject.ListenPort()))
		}
		s.AwaitWorkersEnd("the client vanished")
		c.Note("the connection ended %v after the client vanished, by %s (the check shortens the kernel's keep-alive times to 1 s)", time.Since(vanished).Round(100*time.Millisecond), why)
	},
}

// endurance reads the options of the connection from a process that has it open.
func endurance(c *judge.Case, who rig.ProcessInfos, inode uint32) (e rig.Endurance, err error) {
	err = os.ErrNotExist
	for _, info := range who {
		if e, err = c.Host.Endurance(info, inode); !errors.Is(err, os.ErrNotExist) {
			return e, err
		}
	}
	return e, err
}

// silentLifetime returns how long a silent connection lasts, 0 for ever, and what ends it.
func silentLifetime(e rig.Endurance) (time.Duration, string) {
	switch {
	case e.ReceiveTimeout > 0:
		return e.ReceiveTimeout, "SO_RCVTIMEO"
	case e.KeepAlive && e.UserTimeout > 0:
		return e.Idle + e.UserTimeout, "keep-alive with TCP_USER_TIMEOUT"
	case e.KeepAlive:
		return e.Idle + time.Duration(e.Probes)*e.Interval, "keep-alive"
	}
	return 0, ""
}

// maxWatchTime is how long the check watches for the end of a connection. What
// takes longer it reads from the connection's options.
const maxWatchTime = 10 * time.Second
