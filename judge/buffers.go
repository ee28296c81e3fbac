// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// SmallBuffers makes the connections of the lab hold little, so that a client
// that does not read makes the subject wait soon.
func (c *Case) SmallBuffers() {
	const sizes = "4096 16384 65536" // the least, the first and the most, in bytes
	for _, host := range append([]*rig.Host{c.Host}, c.Clients...) {
		c.Must(host.SetSysctl("net.ipv4.tcp_wmem", sizes)) // IPv6 uses it, too
		c.Must(host.SetSysctl("net.ipv4.tcp_rmem", sizes))
	}
}

// Fill sends and does not read until the subject stops reading, and returns what was sent.
// The subject has stopped when nothing more can be sent while all its processes sleep and
// no kernel has anything to deliver: a subject that waits for a processor will read on.
// One whose other threads never rest, as those of a virtual machine, has stopped when its side of
// the connection has not changed for the settling time.
func (k *Conn) Fill() []byte {
	k.Case.Did(scorecard.SlowReader)
	block := bytes.Repeat([]byte(fillLine), 100)
	const maxBytes = 16 << 20
	var said []byte
	began := time.Now()
	sent := k.Case.stall.now()
	var before rig.Socket
	changed := began
	for len(said) < maxBytes && time.Since(began) < patience() {
		_ = k.SetWriteDeadline(time.Now().Add(lookInterval)) // an open socket takes it
		n, err := k.TCPConn.Write(block[len(said)%len(block):])
		said = append(said, block[len(said)%len(block):][:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			k.Case.MustServe(fmt.Errorf("after %d bytes: %w", len(said), plain(err)))
		}
		if n > 0 {
			sent, changed = k.Case.stall.now(), time.Now()
			continue
		}
		rests, err := k.Case.stall.restsSince(sent)
		k.Case.Must(err)
		if rests && !k.Case.retransmissionPending() {
			break
		}
		now, _, err := k.ServerSocket()
		k.Case.Must(err)
		if now.RecvQueue != before.RecvQueue || now.SendQueue != before.SendQueue {
			before, changed = now, time.Now()
		}
		if time.Since(changed) >= rig.Scaled(rig.Settling) {
			break
		}
	}
	return said
}

// fillLine is what Fill sends again and again.
const fillLine = "a line of a client that does not read what comes back\n"

// ReadBack reads the answer to what was said, and sends the rest of the line in which Fill
// stopped meanwhile: a server of lines answers whole ones. The service has the ability
// [dialogue.Bulk].
func (k *Conn) ReadBack(said []byte) error {
	rest := fillLine[len(said)%len(fillLine):]
	sent := make(chan struct{})
	k.Case.Must(k.SetWriteDeadline(time.Now().Add(patience())))
	go func() {
		defer close(sent)
		_, _ = k.TCPConn.Write([]byte(rest)) // an error shows in the answer
	}()
	err := k.Expect([]byte(k.Case.Answer(string(said) + rest)))
	if err != nil {
		_ = k.SetWriteDeadline(time.Now())
	}
	<-sent
	return err
}
