// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestKernelWithoutVethIsNamed(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, explainVethError(unix.EOPNOTSUPP), "modprobe veth")
	assert.ErrorIs(t, explainVethError(unix.EPERM), unix.EPERM)
}

// FuzzDiagRequest: a request of a fixed size that names the addresses of the row.
func FuzzDiagRequest(f *testing.F) {
	f.Add(uint8(unix.AF_INET), []byte{10, 0, 0, 1}, uint16(9999))
	f.Add(uint8(unix.AF_INET6), []byte("0123456789abcdef"), uint16(0))
	f.Add(uint8(unix.AF_INET), []byte{}, uint16(65535))
	f.Fuzz(func(t *testing.T, family uint8, ip []byte, port uint16) {
		row := &netlink.Socket{Family: family}
		row.ID.Source, row.ID.SourcePort, row.ID.Destination = ip, port, ip
		request := diagRequest{row}.Serialize()
		if len(request) != diagRequestLen || binary.BigEndian.Uint16(request[8:]) != port {
			t.Errorf("a request of %d bytes: %x", len(request), request)
		}
		if address, _ := netip.AddrFromSlice(ip); family == unix.AF_INET6 && len(ip) == 16 && address != netip.AddrFrom16([16]byte(request[12:28])) {
			t.Errorf("%v is asked for as %x", address, request[12:28])
		}
	})
}
