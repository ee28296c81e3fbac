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
	Meaning: "a client whose host vanishes does not keep its connection for ever",
	Defects: []string{"no-keepalive"},
	Clients: 2,
	Long:    true,
	Run: func(c *judge.Case) {
		// Keep-alive as the kernel has it by default asks after two hours. Here it
		// asks after a second.
		for _, name := range []string{"time", "intvl", "probes"} {
			c.Must(c.Host.SetSysctl("net.ipv4.tcp_keepalive_"+name, "1"))
		}
		s := c.Start("")
		timedBefore := s.Own.Where(func(i rig.ProcessInfo) bool { return slices.ContainsFunc(c.Waits(rig.ProcessInfos{i}, 0), timed) })
		k := c.MustDial(1)
		c.MustServe(k.Begin())
		c.AwaitRest() // the subject has set what it sets
		who := s.Serving(k)
		inode, err := k.ServerInode()
		c.Must(err)
		endurance, enduranceErr := endurance(c, who, inode)
		inode, err = k.ServerInode() // it may have been closed meanwhile
		c.Must(err)
		if inode == 0 {
			c.Skip("the check needs a connection that stays open while its client is silent: this subject closes it")
		}
		c.Must(enduranceErr)
		waits := c.Waits(who, inode)
		after, why := silentLifetime(endurance, waits)
		known, tick := true, false
		if after == 0 {
			// A process that has a timer since the client came has it for the client.
			after, why = ownTimeout(waits, len(judge.InBoth(timedBefore, who)) > 0)
			tick = after != 0 // perhaps: a loop that looks now and then polls like one that ends its clients
			alarm := slices.ContainsFunc(who, c.CatchesAlarm)
			known = after != 0 || !alarm && (waitsForEver(waits) || !slices.ContainsFunc(waits, timed))
		}
		c.Apply(fault.Unplugged{Host: c.Clients[1]})
		vanished := time.Now()

		switch {
		case !known:
			why = "a timeout of the subject"
		case after == 0 && judge.HasTimeouts(c.Service):
			c.Warn("set SO_KEEPALIVE and TCP_KEEPIDLE, unless the server ends a silent connection by a timeout of its own",
				"the connection of a vanished client has no keep-alive, and the subject waits for it without a timeout")
		case after == 0:
			c.Fail("set SO_KEEPALIVE and TCP_KEEPIDLE on each connection, or end a silent one by a timeout (SO_RCVTIMEO for a read that blocks, a timer in an event loop); "+
				"if that is intended, use -by-design vanished-client",
				"the connection of a vanished client has no keep-alive, and %s waits for it without a timeout", s.Role(who[0]))
		case after > maxWatchTime:
			c.Note("%s ends the connection after %v", why, after)
			return
		}
		watch := maxWatchTime
		if !known && judge.HasTimeouts(c.Service) { // mostly of a minute or more
			watch = maxWatchTime / 2
		}
		ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(after+watch))
		defer cancel()
		there, err := c.Host.AwaitSockets(ctx, "the end of the vanished client's connection", func(all rig.Sockets) bool {
			return !slices.ContainsFunc(all, func(k rig.Socket) bool { return k.Inode == inode })
		})
		if err != nil && tick { // it polls with a timeout again, so the first one had another purpose
			polled, _ := ownTimeout(c.Waits(who, inode), false)
			known = polled == 0
		}
		switch {
		case err != nil && !known:
			c.Skip("the check needs keep-alive, or a timeout of at most %v for a silent client: the connection lasted longer, and the kernel does not show what the subject's timer or alarm is for",
				watch)
		case err != nil:
			c.Fail("close the connection when, after the timeout, read fails with ETIMEDOUT or EAGAIN, or poll returns without an event",
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

// silentLifetime returns how long a silent connection lasts by its options, 0 for ever, and what
// ends it. SO_RCVTIMEO ends calls that read, and not those that poll.
func silentLifetime(e rig.Endurance, waits []rig.Wait) (time.Duration, string) {
	polls := func(w rig.Wait) bool { return w.OnSocket && !w.Reads }
	switch {
	case e.ReceiveTimeout > 0 && !slices.ContainsFunc(waits, polls):
		return e.ReceiveTimeout, "SO_RCVTIMEO"
	case e.KeepAlive && e.UserTimeout > 0:
		return e.Idle + e.UserTimeout, "keep-alive with TCP_USER_TIMEOUT"
	case e.KeepAlive:
		return e.Idle + time.Duration(e.Probes)*e.Interval, "keep-alive"
	}
	return 0, ""
}

// ownTimeout returns the timeout with which a thread polls the connection, 0 where there is
// none, or where it may be for something else, because the process had one before.
func ownTimeout(waits []rig.Wait, before bool) (time.Duration, string) {
	for _, w := range waits {
		if w.OnSocket && w.Timed && !before {
			return w.Timeout, "a timer that the subject has set since the client came"
		}
	}
	return 0, ""
}

func timed(w rig.Wait) bool { return w.Timed }

// waitsForEver says that no timer of the process ends the connection: a thread waits for it in a
// call that reads, or one polls it while no thread has a timer.
func waitsForEver(waits []rig.Wait) bool {
	return slices.ContainsFunc(waits, func(w rig.Wait) bool {
		return w.OnSocket && !w.Timed && (w.Reads || !slices.ContainsFunc(waits, timed))
	})
}

// maxWatchTime is how long the check watches for the end of a connection. What
// takes longer it reads from the connection's options.
const maxWatchTime = 10 * time.Second
