// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Counters are what the kernel has counted on a host since it was made, by the
// names of RFC 1213 and of the kernel, with the protocol in front as nstat(8)
// prints them: TcpRetransSegs, TcpOutRsts, IpInReceives, TcpExtTCPTimeouts,
// Ip6OutRequests. A name that the kernel does not know has 0.
type Counters map[string]int64

// Since returns what was counted between before and now.
func (c Counters) Since(before Counters) Counters {
	grown := Counters{}
	for name, n := range c {
		if n -= before[name]; n != 0 {
			grown[name] = n
		}
	}
	return grown
}

// ReadCounters reads the counters of IPv4, IPv6, TCP and UDP of the network namespace
// of the calling thread (snmp, netstat and snmp6 in proc_pid_net(5)).
func ReadCounters() (Counters, error) {
	counters := Counters{}
	// The thread's, because the process as a whole is in another namespace.
	const dir = "/proc/thread-self/net/"
	for _, name := range []string{"snmp", "netstat"} {
		text, err := os.ReadFile(dir + name)
		if err != nil {
			return nil, err
		}
		if err := counters.addTable(string(text)); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	text, err := os.ReadFile(dir + "snmp6")
	if os.IsNotExist(err) {
		return counters, nil // a kernel without IPv6
	}
	if err != nil {
		return nil, err
	}
	return counters, counters.addList(string(text))
}

// addTable reads pairs of lines: "Tcp: names…" and "Tcp: numbers…".
func (c Counters) addTable(text string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, numbers := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) != len(numbers) || len(names) == 0 || names[0] != numbers[0] {
			return fmt.Errorf("lines %q and %q do not belong together", lines[i], lines[i+1])
		}
		protocol := strings.TrimSuffix(names[0], ":")
		for j := 1; j < len(names); j++ {
			if err := c.add(protocol+names[j], numbers[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// addList reads lines of a name and a number.
func (c Counters) addList(text string) error {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 2 {
			if err := c.add(fields[0], fields[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c Counters) add(name, number string) error {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		if _, unsigned := strconv.ParseUint(number, 10, 64); unsigned == nil {
			return nil // an address-like value or an overflow, of no use here
		}
		return fmt.Errorf("counter %s: %w", name, err)
	}
	c[name] = n
	return nil
}
