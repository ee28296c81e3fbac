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
// segment: who sends it, its flags, and "-" behind it where it is lost.
func TestSegmentsTellStates(t *testing.T) {
	const opened = "c:S s:SA c:A "
	for name, v := range map[string]struct{ segments, client, server string }{
		"open":                  {opened, "SYN_SENT ESTABLISHED", "SYN_RECV ESTABLISHED"},
		"client closes first":   {opened + "c:FA s:A s:FA c:A", "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT", "SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK gone"},
		"server closes first":   {opened + "s:FA c:FA s:A", "SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK gone", "SYN_RECV ESTABLISHED FIN_WAIT1 TIME_WAIT"},
		"both at once":          {opened + "s:FA- c:F- s:FA c:A s:A", "SYN_SENT ESTABLISHED FIN_WAIT1 CLOSING", "SYN_RECV ESTABLISHED FIN_WAIT1 FIN_WAIT2"},
		"reset":                 {opened + "c:RA", "SYN_SENT ESTABLISHED gone", "SYN_RECV ESTABLISHED gone"},
		"a reset that was lost": {opened + "c:R-", "SYN_SENT ESTABLISHED gone", "SYN_RECV ESTABLISHED"},
		"refused":               {"c:S s:RA", "SYN_SENT gone", "gone"},
		"a SYN that was lost":   {"c:S- c:S s:SA-", "SYN_SENT", "SYN_RECV"},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := netip.MustParseAddrPort("10.0.0.2:40000"), netip.MustParseAddrPort("10.0.0.1:80")
			all := connections{now: map[pair]*connection{}, owner: func(string, netip.AddrPort) string { return "" }}
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
