// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace. Its methods are safe for concurrent use.
type Namespace struct {
	Name  string // says whose it is, in errors
	Inode uint64 // identifies it in /proc/PID/ns/net

	route *netlinkSocket  // owned; NETLINK_ROUTE
	diag  *netlink.Handle // owned; NETLINK_INET_DIAG

	keepDefaults func() error // calls keepTCPDefaults once, on a thread in the namespace

	mu      sync.Mutex // held while fd is used
	fd      int        // owned; -1 where there is none
	ipv6Err error
}

// New makes an empty network namespace with its loopback up. Requires CAP_SYS_ADMIN
// (unshare(2)).
func New(name string) (*Namespace, error) {
	tcpDefaults() // on a thread that is in the sandbox's namespace
	unshare := func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) }
	return open(name, unshare, func(ns *Namespace) error { return ns.loopback().Up() })
}

// Open opens the network namespace of a descriptor, which stays the caller's.
func Open(name string, fd int) (*Namespace, error) {
	return open(name, func() error { return setns(fd) }, func(*Namespace) error { return nil })
}

// open opens everything in the namespace that enter leads to, and calls prepare there.
func open(name string, enter func() error, prepare func(*Namespace) error) (*Namespace, error) {
	ns := &Namespace{Name: name, fd: -1, keepDefaults: sync.OnceValue(keepTCPDefaults)}
	err := onForeignThread(enter, func() error {
		if err := ns.openHere(); err != nil {
			return fmt.Errorf("%w%s", err, limitRemedy(err))
		}
		return prepare(ns)
	})
	if err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// openHere fills ns from the network namespace of the calling thread.
func (ns *Namespace) openHere() (err error) {
	if ns.fd, err = openOwn(); err != nil {
		return fmt.Errorf("open the new network namespace: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(ns.fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	ns.Inode = stat.Ino
	if ns.route, err = newSocket(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	// With the family named: without it the library asks the namespace of whatever thread
	// runs for sockets, and fails on a kernel without netfilter.
	if ns.diag, err = netlink.NewHandle(unix.NETLINK_INET_DIAG); err != nil {
		return fmt.Errorf("open a sock_diag socket: %w", err)
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

// FD returns the descriptor of the namespace. It stays the namespace's.
func (ns *Namespace) FD() int {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.fd
}

// IPv6Err says why the kernel refused the namespace an IPv6 address, or is nil.
func (ns *Namespace) IPv6Err() error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.ipv6Err
}

func (ns *Namespace) withoutIPv6(err error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.ipv6Err = err
}

// Close lets go of the namespace: the kernel frees it, with its links, once no process and
// no socket is in it.
func (ns *Namespace) Close() {
	if ns.route != nil {
		ns.route.close()
	}
	if ns.diag != nil {
		ns.diag.Close()
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.fd >= 0 {
		unix.Close(ns.fd)
		ns.fd = -1
	}
}

// Do calls f on a thread that is in the namespace. f's goroutine is not the caller's: a
// t.FailNow inside it is reported as an error.
func (ns *Namespace) Do(f func() error) error {
	return onForeignThread(ns.enter, func() error {
		if err := ns.keepDefaults(); err != nil {
			return err
		}
		return f()
	})
}

// Furnish prepares the namespace for processes that enter it by its descriptor, as the first
// call of Do does. New leaves it undone, because it takes as long as a fifth of all the rest,
// and more the more namespaces there are: names below /proc/sys/net are looked up in one list
// for all.
func (ns *Namespace) Furnish() error { return ns.Do(func() error { return nil }) }

func (ns *Namespace) enter() error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return setns(ns.fd)
}

func setns(fd int) error { return os.NewSyscallError("setns", unix.Setns(fd, unix.CLONE_NEWNET)) }

func openOwn() (int, error) {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}

var errGoexit = errors.New("the function ended its goroutine (t.FailNow or runtime.Goexit): return an error instead")

// onForeignThread is the one way into another network namespace: on a fresh goroutine,
// enter changes the namespace of the locked thread, f runs there, and the thread's own
// namespace is restored.
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
		own, openErr := openOwn()
		if openErr != nil {
			runtime.UnlockOSThread()
			err = fmt.Errorf("open the thread's own network namespace: %w%s", openErr, limitRemedy(openErr))
			return
		}
		defer unix.Close(own)
		if enterErr := enter(); enterErr != nil {
			runtime.UnlockOSThread()
			err = explainEnterError(enterErr)
			return
		}
		// From here to the restore the thread is poisoned: a goroutine that ends without the
		// unlock takes its thread with it.
		defer func() {
			if setErr := setns(own); setErr != nil {
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

// Prepare prepares the network namespace of the calling thread for others that are made
// from now on: it brings its loopback up, and sees to it that they have TCP tables of
// their own.
func Prepare() error {
	if err := shrinkTCPTables(); err != nil {
		return fmt.Errorf("give hosts TCP tables of their own: %w", err)
	}
	socket, err := newSocket(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer socket.close()
	return (&Namespace{Name: "the sandbox", route: socket}).loopback().Up()
}

// loopback is the first device of every namespace (LOOPBACK_IFINDEX).
func (ns *Namespace) loopback() *End { return &End{In: ns, Name: "lo", Index: 1} }

// tcpTableSize is how many buckets the table of TCP sockets of each namespace has. It
// shares the machine's otherwise, and each look at its sockets goes through all of it:
// 262,144 buckets on a machine with 24 GiB, which is most of what a look costs.
const tcpTableSize = "4096"

const tcpSysctls = "/proc/sys/net/ipv4/"

// shrinkTCPTables gives the namespaces that are made from now on a table of their own
// (tcp_child_ehash_entries, Linux 6.1). Older kernels share the machine's.
func shrinkTCPTables() error {
	err := os.WriteFile(tcpSysctls+"tcp_child_ehash_entries", []byte(tcpTableSize), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// tcpDefaults are the parameters that the kernel derives from the size of the table, as
// they are in the sandbox, which shares the machine's.
var tcpDefaults = sync.OnceValue(func() map[string][]byte {
	defaults := map[string][]byte{}
	for _, name := range []string{"tcp_max_tw_buckets", "tcp_max_syn_backlog"} {
		if value, err := os.ReadFile(tcpSysctls + name); err == nil {
			defaults[name] = value
		}
	}
	return defaults
})

// keepTCPDefaults gives the namespace of the calling thread the parameters that it would
// have with the machine's table.
func keepTCPDefaults() error {
	for name, value := range tcpDefaults() {
		if err := os.WriteFile(tcpSysctls+name, value, 0); err != nil {
			return fmt.Errorf("set the machine's %s: %w", name, err)
		}
	}
	return nil
}
