// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"io"
	"strings"
)

// A need is what a feature needs of a kernel.
type need struct {
	feature string
	since   release  // of Linux
	options []string // of its configuration, built in or as a module
}

// needs are those of the features of package rig that not every kernel has. That package has the
// sources of them.
var needs = []need{
	{"ipv6", release{}, []string{"IPV6"}},
	{"sock-destroy", release{4, 5, 0}, []string{"INET_DIAG_DESTROY"}},
	{"proc-syscall", release{}, []string{"HAVE_ARCH_TRACEHOOK"}},
	{"time-namespace", release{6, 2, 0}, []string{"TIME_NS"}},
	{"pid-max", release{6, 14, 0}, []string{"CHECKPOINT_RESTORE"}},
	{"nftables", release{}, []string{"NF_TABLES", "NF_TABLES_INET"}},
	{"conntrack", release{}, []string{"NFT_CT", "NF_CONNTRACK", "NF_CONNTRACK_MARK"}},
	{"packet-socket", release{}, []string{"PACKET"}},
	{"netem", release{}, []string{"NET_SCH_NETEM"}},
	{"tbf", release{}, []string{"NET_SCH_TBF"}},
}

// Lacks returns the features that a kernel of this name, such as "6.12.43" or "uml:7.2.7", lacks by
// its release and by its configuration, a file as /boot has it, or nil where that is not known. Which
// of its modules can be loaded in a guest is not looked at.
func Lacks(name string, config io.Reader) (features []string, err error) {
	has := map[string]bool{}
	if config != nil {
		lines := bufio.NewScanner(config)
		for lines.Scan() {
			option, value, set := strings.Cut(lines.Text(), "=")
			has[option] = set && (value == "y" || value == "m")
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	r, known := parseRelease(name)
	for _, n := range needs {
		lacks := known && r.compare(n.since) < 0
		for _, option := range n.options {
			lacks = lacks || config != nil && !has["CONFIG_"+option]
		}
		if lacks {
			features = append(features, n.feature)
		}
	}
	return features, nil
}
