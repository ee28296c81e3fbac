// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"forkrig/rig/internal/sandbox"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace held open by its descriptor, with netlink
// sockets that were opened inside it and therefore speak of it from any thread.
type namespace struct {
	handle netns.NsHandle  // owned
	route  *netlink.Handle // owned; NETLINK_ROUTE and NETLINK_INET_DIAG
	inode  uint64          // identifies the namespace in /proc/PID/ns/net
}

// newNamespace makes an empty network namespace with its loopback up.
// Requires CAP_SYS_ADMIN (unshare(2)).
func newNamespace() (*namespace, error) {
	tcpDefaults() // on a thread that is in the sandbox's namespace
	ns := &namespace{handle: netns.None()}
	err := onForeignThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, ns.openHere)
	if err != nil {
		ns.close()
		return nil, err
	}
	if err := sandbox.Keep(ns.inode, int(ns.handle)); err != nil {
		ns.close()
		return nil, fmt.Errorf("hand the network namespace to init: %w", err)
	}
	return ns, nil
}

// openHere fills ns from the network namespace of the calling thread.
func (ns *namespace) openHere() (err error) {
	if ns.handle, err = netns.GetFromPath("/proc/thread-self/ns/net"); err != nil {
		return fmt.Errorf("open the new network namespace: %w%s", err, limitRemedy(err))
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(ns.handle), &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	ns.inode = stat.Ino
	// With the families named: without them the library asks the namespace of
	// whatever thread runs for sockets, and fails on a kernel without netfilter.
	if ns.route, err = netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_INET_DIAG); err != nil {
		return fmt.Errorf("open netlink sockets: %w%s", err, limitRemedy(err))
	}
	if err := keepTCPDefaults(); err != nil {
		return err
	}
	return setLoopbackUpWith(ns.route)
}

// hostTCPTable is how many buckets the table of TCP sockets of each host has. A
// host shares the machine's table otherwise, and each look at its sockets goes
// through all of it: 262,144 buckets on a machine with 24 GiB, which is most of
// what a look costs.
const hostTCPTable = "4096"

const tcpSysctls = "/proc/sys/net/ipv4/"

// shrinkTCPTables gives the namespaces that are made from now on a table of their
// own (tcp_child_ehash_entries, Linux 6.1). Older kernels share the machine's.
func shrinkTCPTables() error {
	err := os.WriteFile(tcpSysctls+"tcp_child_ehash_entries", []byte(hostTCPTable), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// tcpDefaults are the parameters that the kernel derives from the size of the
// table, as they are in the sandbox, which shares the machine's.
var tcpDefaults = sync.OnceValue(func() map[string][]byte {
	defaults := map[string][]byte{}
	for _, name := range []string{"tcp_max_tw_buckets", "tcp_max_syn_backlog"} {
		if value, err := os.ReadFile(tcpSysctls + name); err == nil {
			defaults[name] = value
		}
	}
	return defaults
})

// keepTCPDefaults gives the namespace of the calling thread the parameters that it
// would have with the machine's table.
func keepTCPDefaults() error {
	for name, value := range tcpDefaults() {
		if err := os.WriteFile(tcpSysctls+name, value, 0); err != nil {
			return fmt.Errorf("set the machine's %s: %w", name, err)
		}
	}
	return nil
}

// limitRemedy says what to do where the limit on open files is reached.
func limitRemedy(err error) string {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return ": a host takes three descriptors: raise the limit (ulimit -n)"
	}
	return ""
}

// do calls f on a thread that is in the namespace. f's goroutine is not the
// caller's: a t.FailNow inside it is reported as an error.
func (ns *namespace) do(f func() error) error {
	return onForeignThread(func() error { return netns.Set(ns.handle) }, f)
}

// fd is the descriptor of the namespace, which stays the owner's.
func (ns *namespace) fd() int { return int(ns.handle) }

func (ns *namespace) close() {
	if ns.route != nil {
		ns.route.Close()
	}
	if ns.handle.IsOpen() {
		ns.handle.Close()
	}
}

// end closes the namespace for good: the kernel frees it with its links once
// no process is in it.
func (ns *namespace) end() error {
	err := sandbox.Release(ns.inode)
	ns.close()
	return err
}

var errGoexit = errors.New("the function ended its goroutine (t.FailNow or runtime.Goexit): return an error instead")

// onForeignThread is the one way into another network namespace: on a fresh
// goroutine, enter changes the namespace of the locked thread, f runs there, and
// the thread's own namespace is restored.
func onForeignThread(enter, f func() error) error {
	type outcome struct {
		err      error
		panicked any
	}
	result := make(chan outcome, 1)
	go func() {
		err := errGoexit
		// A panic of f goes on where the caller is, so that it names the test.
		defer func() { result <- outcome{err, recover()} }()
		runtime.LockOSThread()
		own, openErr := netns.GetFromPath("/proc/thread-self/ns/net")
		if openErr != nil {
			runtime.UnlockOSThread()
			err = fmt.Errorf("open the thread's own network namespace: %w", openErr)
			return
		}
		defer own.Close()
		if enterErr := enter(); enterErr != nil {
			runtime.UnlockOSThread()
			err = explainEnterError(enterErr)
			return
		}
		// From here to the restore the thread is poisoned: a goroutine that ends
		// without the unlock takes its thread with it.
		defer func() {
			if setErr := netns.Set(own); setErr != nil {
				err = errors.Join(err, fmt.Errorf("return from the network namespace: %w", setErr))
				return
			}
			runtime.UnlockOSThread()
		}()
		err = f()
	}()
	done := <-result
	if done.panicked != nil {
		panic(done.panicked)
	}
	return done.err
}

func explainEnterError(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("make a network namespace: %w: raise the limit (sysctl user.max_net_namespaces)", err)
	}
	return fmt.Errorf("enter a network namespace: %w", err)
}

// setLoopbackUp brings up the loopback of the calling thread's namespace.
func setLoopbackUp() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer h.Close()
	return setLoopbackUpWith(h)
}

func setLoopbackUpWith(h *netlink.Handle) error {
	const loopbackIndex = 1 // LOOPBACK_IFINDEX: the first device of every namespace
	if err := h.LinkSetUp(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: loopbackIndex}}); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}

// prepareNetwork prepares the sandbox's own network namespace.
func prepareNetwork() error {
	if err := shrinkTCPTables(); err != nil {
		return fmt.Errorf("give hosts TCP tables of their own: %w", err)
	}
	return setLoopbackUp()
}

// endConnections destroys the connections in a network namespace that no process has any
// more.
func endConnections(fd int) error {
	return onForeignThread(
		func() error { return unix.Setns(fd, unix.CLONE_NEWNET) },
		func() error {
			ns := &namespace{handle: netns.None()}
			defer ns.close()
			if err := ns.openHere(); err != nil {
				return err
			}
			_, err := ns.destroyOrphans()
			return err
		})
}
