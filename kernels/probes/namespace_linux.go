// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is for what every kernel does sooner or later: when it passes, the probe is broken.
	patience = 10 * time.Second
	// tick is between two looks at what the kernel tells only when it is asked.
	tick = time.Millisecond
)

// namespace is the network namespace of one probe, with its loopback up. Its methods belong
// to the thread that is in it, and end the probe where the kernel refuses what every kernel
// does.
type namespace struct {
	ctx context.Context

	mu      sync.Mutex // held while sockets is used
	sockets []*socket  // owned

	lastPort int // counts the answers of a bind table
}

// inNamespace calls f on a thread in a fresh network namespace and returns why f could not
// go on, or nil. A call that does not come back is left behind after the limit.
func inNamespace(ctx context.Context, limit time.Duration, f func(*namespace)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	n := &namespace{ctx: ctx}
	result := make(chan error, 1)
	go func() { result <- n.call(f) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	n.wakeAll()
	select {
	case err := <-result:
		return err
	case <-time.After(time.Second):
		return fmt.Errorf("a system call does not come back: %w", context.Cause(ctx))
	}
}

// call enters a fresh network namespace, calls f, and returns to the thread's own.
func (n *namespace) call(f func(*namespace)) error {
	runtime.LockOSThread()
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the thread's own network namespace: %w", err)
	}
	defer unix.Close(own)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return explainUnshare(err)
	}
	// From here to the return the thread is poisoned: a goroutine that ends without the unlock
	// takes its thread with it.
	err = n.guard(f)
	if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("return from the network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

func explainUnshare(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return missingError{"CAP_SYS_ADMIN", err}
	case errors.Is(err, unix.EINVAL):
		return missingError{"network namespaces (CONFIG_NET_NS)", err}
	}
	return fmt.Errorf("make a network namespace: %w", err)
}

// ended is what a probe panics with to end itself.
type ended struct{ err error }

// guard calls f in the namespace, closes what f opened, and returns why f ended early.
func (n *namespace) guard(f func(*namespace)) (err error) {
	defer n.closeAll()
	defer func() {
		switch e := recover().(type) {
		case nil:
		case ended:
			err = e.err
		default:
			panic(e)
		}
	}()
	n.loopbackUp()
	f(n)
	return nil
}

// fail ends the probe: nothing is known.
func (n *namespace) fail(format string, args ...any) { panic(ended{fmt.Errorf(format, args...)}) }

// must ends the probe where err is not nil: nothing is known.
func (n *namespace) must(err error, what string) {
	if err != nil {
		n.fail("%s: %w", what, err)
	}
}

// missing ends the probe: the machine lacks a feature.
func (n *namespace) missing(feature string, err error) { panic(ended{missingError{feature, err}}) }

func (n *namespace) loopbackUp() {
	s, err := n.open(unix.AF_INET, unix.SOCK_DGRAM, 0)
	n.must(err, "open a datagram socket")
	defer s.close()
	request, err := unix.NewIfreq("lo")
	n.must(err, "name the loopback")
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	n.must(unix.IoctlIfreq(s.fd, unix.SIOCSIFFLAGS, request), "bring the loopback up")
}

// wakeAll ends the system calls that wait for a socket of the namespace. It is called on any
// thread.
func (n *namespace) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sockets {
		if s.fd >= 0 {
			_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // not every socket has one
		}
	}
}

func (n *namespace) closeAll() {
	n.wakeAll()
	for _, s := range n.sockets {
		s.close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sockets = nil
}

// await looks again and again until done says yes.
func (n *namespace) await(what string, done func() bool) {
	if !n.within(patience, done) {
		n.fail("waited %v for %s", patience, what)
	}
}

// within looks again and again until done says yes or the time is over. It looks once more
// after that, in case the process did not run for a while.
func (n *namespace) within(bound time.Duration, done func() bool) bool {
	deadline := time.Now().Add(bound)
	for {
		over := time.Now().After(deadline)
		switch {
		case done():
			return true
		case over:
			return false
		}
		if err := n.ctx.Err(); err != nil {
			n.fail("ended early: %w", err)
		}
		time.Sleep(tick)
	}
}

const sysctls = "/proc/sys/net/ipv4/"

// sysctl returns the value of a parameter of IPv4 and TCP.
func (n *namespace) sysctl(name string) string {
	value, err := os.ReadFile(sysctls + name)
	n.explainSysctl(name, err)
	return strings.Join(strings.Fields(string(value)), " ")
}

// setSysctl sets a parameter of IPv4 and TCP in the namespace.
func (n *namespace) setSysctl(name, value string) {
	n.explainSysctl(name, os.WriteFile(sysctls+name, []byte(value), 0))
}

// hasSysctl says whether the kernel has a parameter of IPv4 and TCP in the namespace.
func (n *namespace) hasSysctl(name string) bool {
	_, err := os.Stat(sysctls + name)
	return err == nil
}

func (n *namespace) explainSysctl(name string, err error) {
	if errors.Is(err, os.ErrNotExist) {
		n.missing("sysctl "+name, err)
	}
	n.must(err, "use sysctl "+name)
}

// counter returns a counter of the namespace, such as ListenDrops: see netstat(8), -s. A
// counter that the kernel does not have is 0.
func (n *namespace) counter(name string) int {
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	n.must(err, "read the counters")
	lines := strings.Split(string(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		values := strings.Fields(lines[i+1])
		for j, field := range strings.Fields(lines[i]) {
			if field == name && j < len(values) {
				value, err := strconv.Atoi(values[j])
				n.must(err, "read the counter "+name)
				return value
			}
		}
	}
	return 0
}
