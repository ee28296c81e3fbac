// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestSegmentsTellStates plays conversations of one client c and one server s. Each word is a
// segment: who sends it, its flags, and behind it "<" where its number is too low, and "-" where it is lost.
func TestSegmentsTellStates(t *testing.T) {
	const opened = "c:S s:SA c:A "
	for name, v := range map[string]struct{ segments, client, server string }{
		"open":                  {opened, "SYN_SENT ESTABLISHED", "SYN_RECV ESTABLISHED"},
		"client closes first":   {opened + "c:FA s:A s:FA c:A", "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT", "SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK gone"},
		"server closes first":   {opened + "s:FA c:FA s:A", "SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK gone", "SYN_RECV ESTABLISHED FIN_WAIT1 TIME_WAIT"},
		"both at once":          {opened + "s:FA- c:F- s:FA c:A s:A", "SYN_SENT ESTABLISHED FIN_WAIT1 CLOSING", "SYN_RECV ESTABLISHED FIN_WAIT1 FIN_WAIT2"},
		"reset":                 {opened + "c:RA", "SYN_SENT ESTABLISHED gone", "SYN_RECV ESTABLISHED gone"},
		"a reset in TIME_WAIT":  {opened + "c:FA s:A s:FA c:A s:R", "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT gone", "SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK gone"},
		"a late reset":          {opened + "c:FA s:A s:FA c:A s:R<", "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT", "SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK gone"},
		"a reset that was lost": {opened + "c:R-", "SYN_SENT ESTABLISHED gone", "SYN_RECV ESTABLISHED"},
		"refused":               {"c:S s:RA", "SYN_SENT gone", "gone"},
		"an ACK not taken":      {opened + "s:SA c:A s:SA", "SYN_SENT ESTABLISHED", "SYN_RECV"},
		"an ACK taken later":    {opened + "s:SA c:A s:A", "SYN_SENT ESTABLISHED", "SYN_RECV ESTABLISHED"},
		"a SYN that was lost":   {"c:S- c:S s:SA-", "SYN_SENT", "SYN_RECV"},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := clientAddress, serverAddress
			all := newConnections()
			next := map[netip.AddrPort]uint32{c: 1000, s: 5000}
			for i, word := range strings.Fields(v.segments) {
				who, flags, _ := strings.Cut(word, ":")
				p := segment{from: c, to: s, protocol: "TCP", scale: -1}
				if who == "s" {
					p.from, p.to = s, c
				}
				flags, lost := strings.CutSuffix(flags, "-")
				p.syn, p.ack, p.fin, p.rst = strings.Contains(flags, "S"), strings.Contains(flags, "A"), strings.Contains(flags, "F"), strings.Contains(flags, "R")
				p.seq = next[p.from]
				if strings.Contains(flags, "<") {
					p.seq--
				}
				if p.ack {
					p.acked = next[p.to]
				}
				if (p.syn || p.fin) && !lost {
					next[p.from]++
				}
				at, took := time.Duration(i*10), time.Duration(1)
				if lost {
					took = unseen
				}
				k := all.ofSegment("", at, p)
				k.enterSegment(p)
				k.follow(p, at, took)
			}
			assert.Len(t, all.all, 1)
			assert.Equal(t, v.client, names(all.all[0].Client.States))
			assert.Equal(t, v.server, names(all.all[0].Server.States))
		})
	}
}

func names(states []State) string {
	var all []string
	for _, s := range states {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

// TestLookTakesBackEstablished: the kernel did not take the ACK that was seen to arrive.
func TestLookTakesBackEstablished(t *testing.T) {
	for name, v := range map[string]struct {
		began time.Duration // the look
		spoke bool
		want  string
	}{
		"it says SYN_RECV later":       {30, false, "SYN_RECV"},
		"it began before":              {20, false, "SYN_RECV ESTABLISHED"},
		"another connection, it seems": {30, true, "SYN_RECV ESTABLISHED SYN_RECV"},
	} {
		all := newConnections()
		k := all.open("h", 5, clientAddress, serverAddress)
		k.Server.States = []State{{10, synReceived}, {25, established}}
		k.spoke[serverAddress] = v.spoke
		k.enterState("h", look{v.began, 40}, socketNote{socketKey: socketKey{serverAddress, clientAddress}, state: synReceived})
		assert.Equal(t, v.want, names(k.Server.States), name)
	}
}
