// SPDX-License-Identifier: Apache-2.0

package recorder

import "fmt"

// icmpType is a type of messages of ICMP, and what its codes mean, from 0.
type icmpType struct {
	name  string
	codes []string
}

// icmp4 returns what a type of ICMP means (RFC 792, RFC 1812).
func icmp4(number byte) (icmpType, bool) {
	switch number {
	case 0:
		return icmpType{name: "echo reply"}, true
	case 3:
		return icmpType{"destination unreachable", []string{"network", "host", "protocol", "port", "fragmentation needed", "source route failed",
			"network unknown", "host unknown", "source host isolated", "network prohibited", "host prohibited",
			"network, for the type of service", "host, for the type of service", "prohibited", "precedence violation", "precedence too low"}}, true
	case 4:
		return icmpType{name: "source quench"}, true
	case 5:
		return icmpType{"redirect", []string{"for the network", "for the host", "for the type of service and the network",
			"for the type of service and the host"}}, true
	case 8:
		return icmpType{name: "echo request"}, true
	case 11:
		return icmpType{"time exceeded", []string{"in transit", "in reassembly"}}, true
	case 12:
		return icmpType{"parameter problem", []string{"at the pointer", "missing option", "wrong length"}}, true
	}
	return icmpType{}, true
}

// icmp6 returns what a type of ICMPv6 means (RFC 4443), and false for one that keeps a link going:
// neighbour discovery, multicast listeners and what else is no error and no echo.
func icmp6(number byte) (icmpType, bool) {
	switch number {
	case 1:
		return icmpType{"destination unreachable", []string{"no route", "prohibited", "beyond the scope of the source", "address", "port",
			"source address prohibited", "route rejected", "error in the source route"}}, true
	case 2:
		return icmpType{name: "packet too big"}, true
	case 3:
		return icmpType{"time exceeded", []string{"in transit", "in reassembly"}}, true
	case 4:
		return icmpType{"parameter problem", []string{"wrong header field", "unknown next header", "unknown option"}}, true
	case 128:
		return icmpType{name: "echo request"}, true
	case 129:
		return icmpType{name: "echo reply"}, true
	case 137:
		return icmpType{name: "redirect"}, true // RFC 4861
	}
	return icmpType{}, number < 130
}

// enterICMP enters a message of ICMP, whose type and code are its first bytes.
func (s *segment) enterICMP(data []byte, types func(byte) (icmpType, bool)) {
	if len(data) < 8 {
		return
	}
	kind, code := data[0], data[1]
	t, shown := types(kind)
	if !shown {
		return
	}
	s.protocol = "ICMP"
	switch {
	case t.name == "":
		s.detail = fmt.Sprintf("type %d code %d", kind, code)
	case int(code) < len(t.codes):
		s.detail = fmt.Sprintf("%s (%s)", t.name, t.codes[code])
	case code == 0:
		s.detail = t.name
	default:
		s.detail = fmt.Sprintf("%s (code %d)", t.name, code)
	}
}
