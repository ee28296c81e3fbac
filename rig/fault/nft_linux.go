// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

// rules is a table of nf_tables that is being made: one for each fault on each
// host, with one chain.
type rules struct {
	conn  *nftables.Conn
	table *nftables.Table
	chain *nftables.Chain
	err   error // the first of the library
}

// addRules makes a table on the host with the rules that fill adds, all at once,
// and returns what deletes it. Requires CAP_NET_ADMIN and CONFIG_NF_TABLES_INET.
func addRules(host *rig.Host, hook *nftables.ChainHook, priority *nftables.ChainPriority, fill func(*rules)) (remove func() error, err error) {
	table := &nftables.Table{Name: fmt.Sprintf("forkrig-%016x", rand.Uint64()), Family: nftables.TableFamilyINet}
	err = withFilter(host, func(conn *nftables.Conn) error {
		r := &rules{conn: conn, table: conn.AddTable(table)}
		r.chain = conn.AddChain(&nftables.Chain{
			Name: "packets", Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority,
		})
		fill(r)
		return r.err
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		return withFilter(host, func(conn *nftables.Conn) error {
			conn.DelTable(table)
			return nil
		})
	}, nil
}

// withFilter commits what f does to the host's tables.
func withFilter(host *rig.Host, f func(*nftables.Conn) error) error {
	return host.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		if err := f(conn); err != nil {
			return err
		}
		return missingFilter(conn.Flush(), rig.FeatureNftables, "use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET")
	})
}

// missingFilter tells a kernel that lacks something from other errors.
func missingFilter(err error, feature rig.Feature, remedy string) error {
	for _, sign := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENOENT} {
		if errors.Is(err, sign) {
			return &rig.MissingError{Feature: feature, Err: err, Remedy: remedy}
		}
	}
	return err
}

// add adds a rule of several parts.
func (r *rules) add(parts ...[]expr.Any) {
	var all []expr.Any
	for _, part := range parts {
		all = append(all, part...)
	}
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: all})
}

// register holds what an expression loads for the next one.
const register = 1

func equal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// ofFamily matches packets of one address family.
func ofFamily(family rig.Family) []expr.Any {
	protocol := byte(unix.NFPROTO_IPV4)
	if family == rig.IPv6 {
		protocol = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equal(protocol)}
}

// ofProtocol matches packets of a transport protocol.
func ofProtocol(number byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal(number)}
}

func load(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
}

// neighbourDiscovery matches RFC 4861's messages.
func neighbourDiscovery() []expr.Any {
	const first, last = 133, 137 // router solicitation to redirect
	return append(ofProtocol(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseTransportHeader, 0, 1),
		&expr.Cmp{Op: expr.CmpOpGte, Register: register, Data: []byte{first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: register, Data: []byte{last}})
}

// sources returns, for each family that has some of the addresses, what matches
// packets that come from them; with no address it is every packet of both families.
func (r *rules) sources(addresses []netip.Addr) [][]expr.Any {
	var all [][]expr.Any
	for _, family := range rig.Families {
		offset, length, kind := uint32(12), uint32(4), nftables.TypeIPAddr
		if family == rig.IPv6 {
			offset, length, kind = 8, 16, nftables.TypeIP6Addr
		}
		var elements []nftables.SetElement
		for _, address := range addresses {
			if address.BitLen() == int(length)*8 {
				elements = append(elements, nftables.SetElement{Key: address.AsSlice()})
			}
		}
		switch {
		case len(addresses) == 0:
			all = append(all, ofFamily(family))
			continue
		case len(elements) == 0:
			continue
		}
		// A number of our own, which is for this batch: the library counts without a lock.
		set := &nftables.Set{Table: r.table, Name: family.String(), ID: uint32(family), KeyType: kind}
		if err := r.conn.AddSet(set, elements); err != nil && r.err == nil {
			r.err = fmt.Errorf("make a set of addresses: %w", err)
		}
		all = append(all, append(ofFamily(family),
			load(expr.PayloadBaseNetworkHeader, offset, length),
			&expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID}))
	}
	return all
}

// dropFrom drops what reaches the host from the addresses, before the host
// decides whether it is for itself or to be forwarded.
func dropFrom(host *rig.Host, addresses []netip.Addr) (remove func() error, err error) {
	return addRules(host, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, func(r *rules) {
		r.add(neighbourDiscovery(), verdict(expr.VerdictAccept))
		for _, source := range r.sources(addresses) {
			r.add(source, verdict(expr.VerdictDrop))
		}
	})
}

// dropLonger drops IP packets longer than so many bytes that come by the device.
func dropLonger(host *rig.Host, device string, bytes int) (remove func() error, err error) {
	return addRules(host, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, func(r *rules) {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, device)
		r.add([]expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, equal(name...),
		}, longer(uint32(bytes)), verdict(expr.VerdictDrop))
	})
}

// longer matches IP packets of more than so many bytes.
func longer(bytes uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: register},
		// The length is a number of this machine, and compared as bytes.
		&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpGt, Register: register, Data: binaryutil.BigEndian.PutUint32(bytes)},
	}
}

// resetMark is the mark of a connection whose receiver has been reset.
const resetMark = 0x666f726b

// resetSegments resets what the fault says among the segments for the host.
func resetSegments(host *rig.Host, from []netip.Addr, f Reset) (remove func() error, err error) {
	remove, err = addRules(host, nftables.ChainHookInput, nftables.ChainPriorityFilter, func(r *rules) {
		for _, source := range r.sources(from) {
			matching := append(source, segments(f.FromPort, f.ToPort)...)
			if f.AfterBytes > 0 {
				matching = append(matching, &expr.Ct{Key: expr.CtKeyBYTES, Register: register},
					&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 8, Size: 8},
					&expr.Cmp{Op: expr.CmpOpGt, Register: register, Data: binaryutil.BigEndian.PutUint64(f.AfterBytes)})
			}
			if !f.Both {
				r.add(matching, refused())
				continue
			}
			for _, insistent := range insistents() {
				r.add(matching, flagClear(tcpSYN), insistent, []expr.Any{
					&expr.Ct{Key: expr.CtKeyMARK, Register: register},
					&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binaryutil.NativeEndian.PutUint32(resetMark)},
					&expr.Immediate{Register: register, Data: binaryutil.NativeEndian.PutUint32(resetMark)},
					&expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true},
				}, makeReset(), verdict(expr.VerdictAccept))
			}
			r.add(matching, []expr.Any{
				&expr.Ct{Key: expr.CtKeyMARK, Register: register}, equal(binaryutil.NativeEndian.PutUint32(resetMark)...),
			}, refused())
			r.add(matching, flagSet(tcpSYN), refused())
		}
	})
	if f.AfterBytes == 0 && !f.Both {
		return remove, err
	}
	var missing *rig.MissingError
	if errors.As(err, &missing) {
		missing.Feature = rig.FeatureConntrack
		missing.Remedy = "use a kernel with CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK, or leave AfterBytes and Both out"
	}
	return remove, err
}

// The flags of a TCP segment (RFC 9293 section 3.1) are in its byte 13.
const (
	tcpFlags = 13
	tcpFIN   = 0x01
	tcpSYN   = 0x02
	tcpRST   = 0x04
	tcpPSH   = 0x08
)

// segments matches TCP segments that are no resets; a port of 0 is any.
func segments(fromPort, toPort uint16) []expr.Any {
	matching := ofProtocol(unix.IPPROTO_TCP)
	for i, port := range []uint16{fromPort, toPort} {
		if port != 0 {
			matching = append(matching, load(expr.PayloadBaseTransportHeader, uint32(2*i), 2), equal(binaryutil.BigEndian.PutUint16(port)...))
		}
	}
	return append(matching, flagClear(tcpRST)...)
}

func flagClear(flag byte) []expr.Any { return append(flagsOf(flag), equal(0)) }

// flagSet matches segments with one of the flags.
func flagSet(flags byte) []expr.Any {
	return append(flagsOf(flags), &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{0}})
}

func flagsOf(flags byte) []expr.Any {
	return []expr.Any{
		load(expr.PayloadBaseTransportHeader, tcpFlags, 1),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{flags}, Xor: []byte{0}},
	}
}

// insistents are ways to know a segment that its sender sends again until it is
// answered: one with data, or with the end of it. Linux sets PSH in the last
// segment of each write, and the others are full; a bare acknowledgement has
// nothing but its headers, of at most 120 bytes.
func insistents() [][]expr.Any {
	const headers = 120
	return [][]expr.Any{flagSet(tcpFIN | tcpPSH), longer(headers)}
}

func refused() []expr.Any { return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

// makeReset sets the segment's flag RST, and corrects its checksum, which is a
// sum of pairs of bytes.
func makeReset() []expr.Any {
	const pair, checksum = tcpFlags - 1, 16
	return []expr.Any{
		load(expr.PayloadBaseTransportHeader, pair, 2),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 2, Mask: []byte{0xff, 0xff &^ tcpRST}, Xor: []byte{0, tcpRST}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: register,
			Base: expr.PayloadBaseTransportHeader, Offset: pair, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: checksum},
	}
}
