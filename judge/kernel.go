// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"forkrig/rig"
)

// Some kernels answer bind wrongly (see the commits below), which is no error of the subject.
// So the checks that rely on bind ask the kernel first, and are broken where its answers are
// wrong.

// bindCell is one question to bind and listen, and the right answer.
type bindCell struct {
	name  string
	ipv6  bool // whether it needs IPv6
	setUp func(*binder) error
	last  binding // the one that is judged
	inUse bool    // whether it must be refused with EADDRINUSE
	// known names the commits that made and that fixed wrong answers.
	known string
}

// binding is a socket that is bound to an address and listens.
type binding struct {
	address   netip.Addr
	reuseAddr bool
	v6Only    bool
}

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	mapped4   = netip.MustParseAddr("::ffff:127.0.0.1")
	any4      = netip.IPv4Unspecified()
	any6      = netip.IPv6Unspecified()
)

// bindCells follow the kernel's own selftests bind_wildcard.c, bind_timewait.c
// and reuseaddr_conflict.c. Each has a port of its own.
var bindCells = []bindCell{
	{
		name:  "beside TIME_WAIT, without SO_REUSEADDR",
		setUp: func(b *binder) error { return b.leaveTimeWait(binding{address: loopback4}) },
		last:  binding{address: loopback4}, inUse: true,
		known: "28044fc1d495 (6.1) broke it, 936a192f9740 (6.2-rc3, 6.1.5) fixed it",
	},
	{
		name:  "beside TIME_WAIT, all with SO_REUSEADDR",
		setUp: func(b *binder) error { return b.leaveTimeWait(binding{address: loopback4, reuseAddr: true}) },
		last:  binding{address: loopback4, reuseAddr: true},
	},
	{
		name:  "beside a listener, both with SO_REUSEADDR",
		setUp: func(b *binder) error { return b.keep(binding{address: loopback4, reuseAddr: true}) },
		last:  binding{address: loopback4, reuseAddr: true}, inUse: true,
		known: "7a7160edf1bf, backported in part to 5.15.88 and 6.0.16, made bind or listen return success",
	},
	{
		name: ":: beside 0.0.0.0", ipv6: true,
		setUp: func(b *binder) error { return b.keep(binding{address: any4}) },
		last:  binding{address: any6}, inUse: true,
		known: "28044fc1d495 (6.1) broke it, d9ba99342855 (6.3) fixed it",
	},
	{
		name: "127.0.0.1 beside ::ffff:127.0.0.1", ipv6: true,
		setUp: func(b *binder) error { return b.keep(binding{address: mapped4}) },
		last:  binding{address: loopback4}, inUse: true,
		known: "28044fc1d495 (6.1) broke it, c48ef9c4aed3 (6.6) fixed it",
	},
	{
		name: "127.0.0.1 beside 0.0.0.0 and a :: for IPv6 only", ipv6: true,
		setUp: func(b *binder) error {
			return errors.Join(b.keep(binding{address: any4}), b.keep(binding{address: any6, v6Only: true}))
		},
		last: binding{address: loopback4}, inUse: true,
		known: "28044fc1d495 (6.1) broke it, d91ef1e1b55f (6.9-rc3, 6.8.4, 6.6.24, 6.1.84) fixed it",
	},
}

// kernelBinds asks the kernel all questions on a host of its own, and returns
// which answers are wrong.
func kernelBinds(tb rig.TB) error {
	host := rig.New(tb).NewHost("kernel")
	_, noIPv6 := host.Sysctl("net.ipv6.bindv6only")
	var wrong []string
	for i, cell := range bindCells {
		if cell.ipv6 && noIPv6 != nil {
			continue
		}
		b := &binder{host: host, port: 20000 + i, context: tb.Context()}
		refused, err := b.ask(cell)
		b.close()
		if err != nil {
			return fmt.Errorf("ask the kernel about bind %s: %w", cell.name, err)
		}
		if complaint := cell.judge(refused); complaint != "" {
			wrong = append(wrong, complaint)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("KERNEL: this kernel answers bind wrongly, so nothing is known about the subject: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// judge says what is wrong with the kernel's answer, or "".
func (cell bindCell) judge(refused bool) string {
	if refused == cell.inUse {
		return ""
	}
	text := fmt.Sprintf("bind %s must fail with EADDRINUSE, but succeeds", cell.name)
	if refused {
		text = fmt.Sprintf("bind %s must succeed, but fails with EADDRINUSE", cell.name)
	}
	if cell.known != "" {
		text += " (" + cell.known + ")"
	}
	return text
}

// binder opens sockets on one port of a host.
type binder struct {
	host    *rig.Host
	port    int
	context context.Context
	fds     []int // owned
}

// ask prepares what the cell is about and says whether its last binding is refused.
func (b *binder) ask(cell bindCell) (refused bool, err error) {
	if err := cell.setUp(b); err != nil {
		return false, fmt.Errorf("prepare: %w", err)
	}
	err = b.keep(cell.last)
	if errors.Is(err, syscall.EADDRINUSE) {
		return true, nil
	}
	return false, err
}

// keep opens a listening socket.
func (b *binder) keep(asked binding) error {
	_, err := b.open(asked)
	return err
}

func (b *binder) open(asked binding) (fd int, err error) {
	err = b.host.Do(func() error {
		if fd, err = b.socket(asked.address); err != nil {
			return err
		}
		set := func(level, option int, on bool) error {
			value := map[bool]int{true: 1}[on]
			return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, level, option, value))
		}
		if err := set(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, asked.reuseAddr); err != nil {
			return err
		}
		if asked.address.Is6() {
			if err := set(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, asked.v6Only); err != nil {
				return err
			}
		}
		if err := syscall.Bind(fd, b.sockaddr(asked.address)); err != nil {
			return os.NewSyscallError("bind", err)
		}
		return os.NewSyscallError("listen", syscall.Listen(fd, 8))
	})
	return fd, err
}

// socket opens a TCP socket that fits the address; the binder closes it.
func (b *binder) socket(address netip.Addr) (int, error) {
	family := syscall.AF_INET
	if address.Is6() {
		family = syscall.AF_INET6
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	syscall.CloseOnExec(fd)
	b.fds = append(b.fds, fd)
	return fd, nil
}

func (b *binder) sockaddr(address netip.Addr) syscall.Sockaddr {
	if address.Is4() {
		return &syscall.SockaddrInet4{Port: b.port, Addr: address.As4()}
	}
	return &syscall.SockaddrInet6{Port: b.port, Addr: address.As16()}
}

// leaveTimeWait lets a connection to a listener like that end in TIME_WAIT on
// the listener's side, and closes the listener. Once on a busy machine the kernel showed no
// TIME_WAIT: so it tries again on another port.
func (b *binder) leaveTimeWait(asked binding) (err error) {
	const tries, next = 3, 100
	for range tries {
		if err = b.connectAndLeave(asked); err == nil {
			err = b.awaitTimeWait()
		}
		if !errors.Is(err, rig.ErrNotObserved) || b.context.Err() != nil {
			return err
		}
		b.port += next
	}
	return err
}

// awaitTimeWait waits until a connection in TIME_WAIT is all that is left of the port.
func (b *binder) awaitTimeWait() error {
	ctx, cancel := context.WithTimeout(b.context, rig.Scaled(rig.Settling))
	defer cancel()
	_, err := b.host.AwaitSockets(ctx, "TIME_WAIT for the self-test", func(all rig.Sockets) bool {
		here := all.On(uint16(b.port))
		return len(here) == 1 && here[0].State == rig.TimeWait
	})
	return err
}

// connectAndLeave connects to a listener, closes the side of the listener first, and then everything else.
func (b *binder) connectAndLeave(asked binding) error {
	listener, err := b.open(asked)
	if err != nil {
		return err
	}
	defer b.close()
	err = b.host.Do(func() error {
		client, err := b.socket(asked.address)
		if err != nil {
			return err
		}
		if err := syscall.Connect(client, b.sockaddr(asked.address)); err != nil {
			return os.NewSyscallError("connect", err)
		}
		syscall.ForkLock.RLock()
		server, _, err := syscall.Accept(listener)
		if err == nil {
			syscall.CloseOnExec(server)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return os.NewSyscallError("accept", err)
		}
		syscall.Close(server) // closes first
		one := make([]byte, 1)
		if n, err := syscall.Read(client, one); n != 0 || err != nil {
			return fmt.Errorf("read the end of the stream: %d bytes, %v", n, err)
		}
		return nil
	})
	return err
}

func (b *binder) close() {
	for _, fd := range b.fds {
		syscall.Close(fd)
	}
	b.fds = nil
}
