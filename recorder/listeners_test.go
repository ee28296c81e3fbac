// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestPacketsSaySinceWhen a listener is there or gone: a look says so later.
func TestPacketsSaySinceWhen(t *testing.T) {
	look := func(state string, at, before time.Duration) note {
		return socketSeen(at, socketNote{socketKey: socketKey{local: serverAddress}, state: state, seen: before})
	}
	lists := func(all ...State) [][]State { return [][]State{all} }
	accepted := func(at time.Duration) State { return State{at, listening} }
	refused := func(at time.Duration) State { return State{at, gone} }
	fault := func(began, ended time.Duration) []Span {
		return []Span{{Kind: Fault, Hosts: []string{"h"}, Began: began, Ended: ended}}
	}
	for name, v := range map[string]struct {
		answers []State
		looks   []note
		last    time.Duration // when the last look began
		spans   []Span
		want    [][]State
	}{
		"looks alone":             {nil, []note{look(listening, 20, 0), look(gone, 90, 60)}, 90, nil, lists(accepted(20), refused(90))},
		"accepted before a look":  {[]State{accepted(15)}, []note{look(listening, 20, 0)}, 60, nil, lists(accepted(15))},
		"refused before a look":   {[]State{refused(70), refused(80)}, []note{look(listening, 20, 0), look(gone, 90, 60)}, 80, nil, lists(accepted(20), refused(70))},
		"gone during a look":      {[]State{refused(15)}, []note{look(listening, 20, 0), look(gone, 90, 10)}, 80, nil, lists(accepted(20), refused(20))},
		"refused by a firewall":   {[]State{refused(50)}, []note{look(listening, 20, 0), look(gone, 90, 60)}, 80, nil, lists(accepted(20), refused(90))},
		"refused and never again": {[]State{refused(70)}, []note{look(listening, 20, 0)}, 60, nil, lists(accepted(20), refused(70))},
		"during a fault":          {[]State{refused(70)}, []note{look(listening, 20, 0)}, 60, fault(65, 80), lists(accepted(20))},
		"after a fault":           {[]State{refused(70)}, []note{look(listening, 20, 0)}, 60, fault(30, 40), lists(accepted(20), refused(70))},
		"accepted again":          {[]State{refused(70), accepted(75)}, []note{look(listening, 20, 0)}, 60, nil, lists(accepted(20))},
		"another listener": {[]State{refused(70), accepted(75)}, []note{look(listening, 20, 0), look(gone, 90, 60), look(listening, 90, 60)}, 80, nil,
			[][]State{{accepted(20), refused(70)}, {accepted(75)}}},
	} {
		b := newBuilder(emptyLab())
		b.socketsAt, b.Spans = map[string]time.Duration{"h": v.last}, v.spans
		for _, a := range v.answers {
			s := fromServer(segment{syn: a.Name == listening, rst: a.Name == gone, ack: true})
			b.connections.hear("h", a.At, s, synSent)
		}
		b.enterAll(v.looks, nil)
		var got [][]State
		for _, k := range b.finish().Connections {
			got = append(got, k.Server.States)
			assert.Equal(t, k.Server.States[0].At, k.Began, name)
		}
		assert.Equal(t, v.want, got, name)
	}
}

// TestAnswersAreOfAddresses: a listener of every address of IPv6 need not be one of IPv4.
func TestAnswersAreOfAddresses(t *testing.T) {
	all := newConnections()
	all.hear("h", 5, fromServer(segment{rst: true, ack: true}), established) // it answers no SYN
	all.hear("h", 6, fromServer(segment{rst: true}), synSent)
	all.hear("h", 7, fromServer(segment{syn: true}), synSent)
	all.hear("h", 8, fromServer(segment{rst: true, ack: true}), synSent)
	for address, want := range map[string]time.Duration{"10.0.0.1:80": 8, "0.0.0.0:80": 8, "[::]:80": 90, "10.0.0.3:80": 90, "10.0.0.1:81": 90} {
		assert.Equal(t, want, all.firstAnswer("h", netip.MustParseAddrPort(address), gone, 0, 90), address)
	}
	assert.Equal(t, time.Duration(90), all.firstAnswer("other", serverAddress, gone, 0, 90))
}
