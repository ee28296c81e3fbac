// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"io"
	"math/bits"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// viewProbes ask what the kernel shows of sockets, and of signals to those who wait for them.
var viewProbes = []Probe{{
	ID:     "K45",
	Name:   "pselect when a pending signal is unblocked by its mask and has run its handler",
	Source: "commit 97abc889ee29 (Linux 5.2) fixes 854a6ed56839 (5.0); pselect in select(2)",
	ask:    askPselect,
}, {
	ID:     "K52",
	Name:   "lseek to the begin of /proc/net/tcp",
	Source: "commit ff7ec8dc1b64 (Linux 6.17, 6.6.102 to 104, 6.12.42 to 45); tailscale issue 16966",
	ask: func(n *namespace) string {
		file, err := os.Open("/proc/thread-self/net/tcp")
		n.must(err, "open the list of sockets")
		defer file.Close()
		_, err = file.Seek(0, io.SeekStart)
		return errorName(err)
	},
}, {
	ID:     "K53",
	Name:   "whether sock_diag lists a socket that is bound and nothing else",
	Source: "commit 91051f003948 (Linux 6.8): TCP_BOUND_INACTIVE; sock_diag(7)",
	ask: func(n *namespace) string {
		n.bound("127.0.0.1:5000")
		const boundInactive = 13 // a state that exists for this alone
		if n.diagCount(boundInactive) == 0 {
			return "no"
		}
		return "yes"
	},
}}

// askPselect sends a signal to its own thread, which blocks it but for the time of pselect.
func askPselect(n *namespace) string {
	const sent = syscall.Signal(50) // one that nothing else uses
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, sent)
	defer signal.Stop(caught)

	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	var own unix.Sigset_t
	n.must(unix.PthreadSigmask(unix.SIG_SETMASK, &all, &own), "block signals")
	defer func() { n.must(unix.PthreadSigmask(unix.SIG_SETMASK, &own, nil), "take signals") }()
	n.must(unix.Tgkill(unix.Getpid(), unix.Gettid(), sent), "send a signal")

	allButOne := all
	const number = int(sent) - 1
	allButOne.Val[number/bits.UintSize] &^= 1 << (number % bits.UintSize)
	_, err := unix.Pselect(0, nil, nil, nil, &unix.Timespec{}, &allButOne)
	return errorName(err)
}
