// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// diagRequest is struct inet_diag_req_v2 of sock_diag(7) for TCP sockets on 127.0.0.1: all
// that are in one of the states, or the one with these ports.
type diagRequest struct {
	states        uint32
	local, remote int // ports
}

const diagRequestLen = 56

// Len implements nl.NetlinkRequestData.
func (diagRequest) Len() int { return diagRequestLen }

// Serialize implements nl.NetlinkRequestData.
func (r diagRequest) Serialize() []byte {
	loopback := [16]byte{127, 0, 0, 1}
	remote := loopback
	if r.remote == 0 {
		remote = [16]byte{}
	}
	b := make([]byte, 0, diagRequestLen)
	b = append(b, unix.AF_INET, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, r.states)
	b = binary.BigEndian.AppendUint16(b, uint16(r.local))
	b = binary.BigEndian.AppendUint16(b, uint16(r.remote))
	b = append(b, loopback[:]...)
	b = append(b, remote[:]...)
	b = binary.NativeEndian.AppendUint32(b, 0) // any device
	const anyCookie = ^uint32(0)
	b = binary.NativeEndian.AppendUint32(b, anyCookie)
	return binary.NativeEndian.AppendUint32(b, anyCookie)
}

// diagCount returns how many sockets in a state sock_diag lists.
func (n *namespace) diagCount(state int) int {
	const attempts = 10 // a dump is made again where the list changed under it
	for range attempts {
		request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		request.AddData(diagRequest{states: 1 << state})
		rows, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
		if errors.Is(err, nl.ErrDumpInterrupted) {
			continue
		}
		n.explainDiag(err)
		return len(rows)
	}
	n.fail("the list of sockets changed in each of %d dumps", attempts)
	return 0
}

// explainDiag ends the probe where sock_diag answers with an error.
func (n *namespace) explainDiag(err error) {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		n.missing("sock_diag of TCP (CONFIG_INET_TCP_DIAG)", err)
	}
	n.must(err, "use sock_diag")
}

// destroy destroys one socket (SOCK_DESTROY in sock_diag(7)). remote is 0 where it listens.
func (n *namespace) destroy(local, remote int) error {
	request := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
	request.AddData(diagRequest{states: ^uint32(0), local: local, remote: remote})
	_, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
	return err
}

// needDestroy ends the probe where the kernel destroys no socket at all.
func (n *namespace) needDestroy() {
	listener := n.listener("127.0.0.1:5999", 1)
	defer listener.close()
	err := n.destroy(listener.port(), 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		n.missing("sock-destroy (CONFIG_INET_DIAG_DESTROY)", err)
	}
	n.explainDiag(err)
}
