package checks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"forkrig/rig"
)

var slowReader = Check{
	Name:         "slow-reader",
	Meaning:      "a client that reads late gets all",
	Defects:      []string{"short-write"},
	conversation: dialogue,
	run: func(c *Case) {
		c.smallBuffers()
		s := c.start("")
		k := c.mustDial(0)
		c.mustServe(k.exchange())
		said := k.fill()
		if err := k.readBack(said); err != nil {
			c.fail("a write to a connection that has no room takes a part only, or gives EAGAIN: write the rest when there is room",
				"of %d bytes that a client read late: %v", len(said), err)
		}
		pauses := 0
		for range partlyWritten {
			again := k.fill()
			_, n := c.pauseServing(s, k)
			pauses += n
			if err := k.readBack(again); err != nil {
				c.fail("a write that a signal interrupts takes a part only: write the rest in a loop",
					"of %d bytes that a client read late, while the worker was stopped and continued: %v", len(again), err)
			}
		}
		c.mustServe(k.finish())
		c.note("all of %d bytes, and of as many with the worker stopped and continued %d times", len(said), pauses)
	},
}

// partlyWritten is how often a worker is stopped and continued while it waits for
// room. That makes a write return what it has sent of its bytes, and one that has sent
// none is begun again by the kernel as if nothing had happened (signal(7)): how
// much that is depends on how the bytes came, so that once is not enough.
const partlyWritten = 3

// smallBuffers makes the connections of the lab hold little, so that a client
// that does not read makes the subject wait soon.
func (c *Case) smallBuffers() {
	const sizes = "4096 16384 65536" // the least, the first and the most, in bytes
	for _, host := range append([]*rig.Host{c.host}, c.clients...) {
		c.must(host.SetSysctl("net.ipv4.tcp_wmem", sizes)) // of IPv6, too
		c.must(host.SetSysctl("net.ipv4.tcp_rmem", sizes))
	}
}

// fill sends until the subject stops reading, because nobody reads its answers,
// and returns what was sent. It has stopped when nothing more can be sent while
// all its processes sleep and no kernel has anything to deliver: a subject that
// merely waits for a processor will read on.
func (k *conn) fill() []byte {
	block := bytes.Repeat([]byte("a line of a client that does not read what comes back\n"), 100)
	const most = 16 << 20
	var said []byte
	began := time.Now()
	sent, _, _, _ := k.c.pulse.look() // an error comes again
	for len(said) < most && time.Since(began) < rig.Patience() {
		_ = k.SetWriteDeadline(time.Now().Add(betweenLooks)) // an open socket takes it
		n, err := k.Write(block[len(said)%len(block):])
		said = append(said, block[len(said)%len(block):][:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			k.c.mustServe(fmt.Errorf("after %d bytes: %w", len(said), plain(err)))
		}
		if n > 0 {
			sent, _, _, _ = k.c.pulse.look()
			continue
		}
		still, err := k.c.pulse.stillFor(sent)
		k.c.must(err)
		if still >= moment && !k.c.onTheirWay() {
			break
		}
	}
	return said
}

// readBack reads the answer to what was said.
func (k *conn) readBack(said []byte) error {
	if k.c.subject.Service == Upper {
		said = bytes.ToUpper(said)
	}
	return k.expect(said)
}
