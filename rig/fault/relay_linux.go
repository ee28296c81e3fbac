// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/internal/filter"
	"forkrig/rig/internal/machine"
)

// relay brings frames from a detour to where they were meant to go, as a passage
// has it. One goroutine does all: it waits for the next frame, and no longer than
// until one that waits is due.
type relay struct {
	in      *os.File // owned; receives what went the detour, at the far end's device
	out     *os.File // owned; sends from the near end's device
	detour  *rig.Detour
	passage *passage

	open    atomic.Bool // packets pass unimpaired
	opened  chan struct{}
	markers chan int // the processors whose last frame has come
	done    chan struct{}
	err     error // why it ended; read after done
}

const (
	// vnetHeader is the length of struct virtio_net_hdr (linux/virtio_net.h) in
	// front of each frame: it says where a checksum is still to be computed, so that
	// the kernel does not take the unfinished one for wrong (PACKET_VNET_HDR in
	// linux/if_packet.h).
	vnetHeader = 10
	// longestFrame is more than any: segmentation offload, which is off, would make
	// up to 64 KiB, and an address pair goes before it.
	longestFrame = 1 << 17
	// receiveBytes is how much may wait for the relay when it does not run.
	receiveBytes = 16 << 20

	etherHeader  = 14
	markerType   = 0x88b5 // IEEE 802: for local experiments
	etherIPv6    = 0x86dd
	sealedMarker = "forkrig: the last frame of a processor on this detour"
	// maxMarkers is how many markers the relay keeps until drain takes them. It drops further ones, and drain
	// sends them again.
	maxMarkers = 1 << 10
)

// startRelay begins the detour and relays what goes it. end lets arrive what is
// under way, ends the detour and returns when nothing is left of it.
func startRelay(f Impairment, p *passage) (end func(context.Context) error, err error) {
	r := &relay{passage: p, opened: make(chan struct{}), markers: make(chan int, maxMarkers), done: make(chan struct{})}
	to := f.Link.Peer(f.From)
	if r.out, err = openPacketSocket(f.From, f.Link.Device(f.From), nil); err != nil {
		return nil, fmt.Errorf("open a packet socket on %v: %w", f.From, err)
	}
	// The socket sees the frames of the detour alone, and must be there before them.
	unassigned, err := f.Link.UnassignedAt(to)
	if err == nil {
		r.in, err = openPacketSocket(to, f.Link.Device(to), unassigned)
	}
	if err == nil {
		r.detour, err = f.Link.Detour(f.From)
	}
	if err != nil {
		if r.in != nil {
			r.in.Close()
		}
		r.out.Close()
		return nil, fmt.Errorf("watch %s on %v: %w", f.Link.Device(to), to, err)
	}
	go r.run()
	return r.end, nil
}

// run relays until the socket is closed.
func (r *relay) run() {
	defer close(r.done)
	buffer := make([]byte, longestFrame)
	deadline, known := time.Time{}, true // what the socket has
	for {
		if r.open.Load() && !r.passage.open {
			r.passage.open = true
			r.passage.leave(time.Now(), r.send)
			close(r.opened)
		}
		if next := r.passage.next(); !known || !next.Equal(deadline) {
			if err := r.in.SetReadDeadline(next); err != nil {
				r.err = fmt.Errorf("set a deadline: %w", err)
				return
			}
			deadline, known = next, true
		}
		// Once more after the deadline is set: end may have called meanwhile.
		if r.open.Load() && !r.passage.open {
			continue
		}
		n, err := r.in.Read(buffer)
		now := time.Now()
		switch {
		case err == nil:
			r.take(now, buffer[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			known = false // something is due, or end has set another
		case errors.Is(err, unix.ENETDOWN):
			// The link has gone down. It may come up again.
		case errors.Is(err, os.ErrClosed):
			return
		default:
			r.err = fmt.Errorf("receive a frame: %w", err)
			return
		}
		r.passage.leave(now, r.send)
	}
}

// take passes a frame on, or leaves it to the passage.
func (r *relay) take(now time.Time, message []byte) {
	if len(message) < vnetHeader+etherHeader {
		return
	}
	frame := message[vnetHeader:]
	if of, is := bytes.CutPrefix(frame[etherHeader:], []byte(sealedMarker)); is && binary.BigEndian.Uint16(frame[12:]) == markerType {
		select {
		case r.markers <- int(binary.BigEndian.Uint16(of)):
		default:
		}
		return
	}
	copy(frame, r.detour.Assigned)
	if isNeighbourDiscovery(frame) {
		r.send(message)
		return
	}
	if r.passage.enter(now, message) {
		r.send(message)
	}
}

// isNeighbourDiscovery says whether the frame is a message of RFC 4861.
func isNeighbourDiscovery(frame []byte) bool {
	const next, message = etherHeader + 6, etherHeader + 40
	return len(frame) > message && binary.BigEndian.Uint16(frame[12:]) == etherIPv6 &&
		frame[next] == unix.IPPROTO_ICMPV6 && frame[message] >= 133 && frame[message] <= 137
}

func (r *relay) send(message []byte) {
	if _, err := r.out.Write(message); err != nil {
		// A link that is down loses what is sent over it.
		r.passage.Tally.Undelivered.Add(1)
	}
}

// end is the healing.
func (r *relay) end(ctx context.Context) error {
	r.open.Store(true)
	err := r.wake(ctx)
	err = errors.Join(err, r.detour.End())
	if err == nil {
		err = r.drain(ctx)
	}
	err = errors.Join(err, r.in.Close())
	<-r.done
	return errors.Join(err, r.out.Close(), r.err)
}

// wake has the relay let go of what waits, and returns when it has.
func (r *relay) wake(ctx context.Context) error {
	return rig.Await(ctx, "a relay to let go of what is under way", func() (bool, string, error) {
		select {
		case <-r.opened:
			return true, "", nil
		case <-r.done:
			return true, "", r.err
		default:
			// Again and again, because the relay sets deadlines, too.
			return false, "it waits", r.in.SetReadDeadline(time.Now())
		}
	})
}

// drain returns when every frame that was sent before has been relayed. The kernel delivers what one
// processor sends over a link in order, and so a marker that each of them sends comes last.
func (r *relay) drain(ctx context.Context) error {
	processors, err := machine.Processors()
	if err != nil {
		return err
	}
	return rig.Await(ctx, "the last frames of a detour", func() (bool, string, error) {
		for came := true; came; {
			select {
			case processor := <-r.markers:
				processors = slices.DeleteFunc(processors, func(n int) bool { return n == processor })
			case <-r.done:
				return true, "", r.err
			default:
				came = false
			}
		}
		if len(processors) == 0 {
			return true, "", nil
		}
		err := r.mark(processors)
		if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) {
			return true, "", nil // the link is down, nothing comes by it
		}
		return false, fmt.Sprintf("frames before it, sent by the processors %v", processors), nil
	})
}

// mark sends a marker from each of the processors.
func (r *relay) mark(processors []int) error {
	for _, processor := range processors {
		marker := make([]byte, vnetHeader, vnetHeader+100)
		marker = append(append(marker, r.detour.Unassigned...), r.detour.Assigned...)
		marker = append(binary.BigEndian.AppendUint16(marker, markerType), sealedMarker...)
		leave, err := machine.On(processor)
		if err != nil {
			return err
		}
		_, err = r.out.Write(binary.BigEndian.AppendUint16(marker, uint16(processor)))
		leave()
		if err != nil {
			return err
		}
	}
	return nil
}

// openPacketSocket opens a packet socket on a host's device that sends frames with
// their virtio_net_hdr past the queueing discipline, and receives those for the
// given address; none where that is nil. Requires CAP_NET_RAW, CONFIG_PACKET and,
// for the way past queueing, Linux 3.14.
func openPacketSocket(host *rig.Host, device string, receive net.HardwareAddr) (*os.File, error) {
	var file *os.File
	err := host.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return missingPacketSocket(os.NewSyscallError("socket", err))
		}
		if err := preparePacketSocket(fd, device, receive); err != nil {
			unix.Close(fd)
			return err
		}
		file = os.NewFile(uintptr(fd), "packet socket on "+device)
		return nil
	})
	return file, err
}

func preparePacketSocket(fd int, device string, receive net.HardwareAddr) error {
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_QDISC_BYPASS} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	protocol := uint16(0) // nothing
	if receive != nil {
		protocol = unix.ETH_P_ALL
		accept, err := onlyTo(receive)
		if err != nil {
			return err
		}
		program := unix.SockFprog{Len: uint16(len(accept)), Filter: &accept[0]}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
			return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
		}
	}
	for _, buffer := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer[0], receiveBytes) == nil {
			continue
		}
		// Without privileges over the machine as a whole, as much as it allows.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer[1], receiveBytes); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	index, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	address := &unix.SockaddrLinklayer{Protocol: networkOrder(protocol), Ifindex: index.Index}
	return os.NewSyscallError("bind", unix.Bind(fd, address))
}

func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// onlyTo is a socket filter that accepts frames to one hardware address.
func onlyTo(address net.HardwareAddr) ([]unix.SockFilter, error) {
	const whole = 0xffffffff
	return filter.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(address), SkipFalse: 3},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(address[4:])), SkipFalse: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: 0},
	})
}

func missingPacketSocket(err error) error {
	remedy := ""
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		remedy = "use a kernel with CONFIG_PACKET"
	case errors.Is(err, unix.EPERM):
		remedy = "run with CAP_NET_RAW"
	default:
		return err
	}
	return &rig.MissingError{Feature: rig.FeaturePacketSocket, Err: err, Remedy: remedy}
}
