// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

// capture reads the packets of one host from the ring of a packet socket (packet(7) and the
// kernel's Documentation/networking/packet_mmap.rst, TPACKET_V3).
type capture struct {
	host *rig.Host
	file *os.File // owned; the packet socket
	ring []byte   // owned; shared with the kernel
	next int      // the block that the kernel hands over next; used by read alone
	take func(captured)

	taken   atomic.Uint32 // packets that were taken from the ring
	dropped uint32        // packets for which the ring had no room; valid once stop has returned
	done    chan struct{}
}

// captured is a packet in the ring, valid during the call alone.
type captured struct {
	at     time.Time
	stamp  int64 // nanoseconds of CLOCK_REALTIME, as the kernel said
	index  int   // of the interface
	sent   bool
	detour bool // it came to the hardware address of a [rig.Detour], and goes on to the host later
	length int
	data   []byte
}

const (
	// blockBytes and blocks are the ring of one host: room for about 1,000 packets. The kernel begins a
	// new block every retireMilliseconds, so 16 of them last 320 ms on a machine too busy to read.
	blockBytes = 1 << 14
	blocks     = 16
	// retireMilliseconds is how long the kernel keeps a block that is not full.
	retireMilliseconds = 20
	// snapBytes is how much is kept of a packet: all headers, and the first bytes of its payload.
	snapBytes = 192
)

// startCapture begins to capture on a host, also on the interfaces that it gets later. It needs
// CAP_NET_RAW over the host's network namespace, which the rig has, and CONFIG_PACKET.
func startCapture(host *rig.Host, take func(captured)) (*capture, error) {
	c := &capture{host: host, take: take, done: make(chan struct{})}
	fd := -1
	err := host.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return nil, fmt.Errorf("capture packets of %s: %w", host, err)
	}
	c.file = os.NewFile(uintptr(fd), "packets of "+host.Name)
	if err := c.prepare(fd); err != nil {
		return nil, errors.Join(fmt.Errorf("capture packets of %s: %w", host, err), c.close())
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	go c.read(raw)
	return c, nil
}

func (c *capture) prepare(fd int) error {
	if err := cutAt(fd, snapBytes); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return os.NewSyscallError("setsockopt PACKET_VERSION", err)
	}
	request := unix.TpacketReq3{Block_size: blockBytes, Block_nr: blocks, Frame_size: 1 << 11, Frame_nr: blocks * blockBytes >> 11,
		Retire_blk_tov: retireMilliseconds}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return os.NewSyscallError("setsockopt PACKET_RX_RING", err)
	}
	var err error
	if c.ring, err = unix.Mmap(fd, 0, blockBytes*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	// Packets come from here on: the protocol in network byte order.
	everything := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})}
	return os.NewSyscallError("bind", unix.Bind(fd, everything))
}

// cutAt has the kernel hand over the first bytes of each packet.
func cutAt(fd, bytes int) error {
	program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: uint32(bytes)}})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, instruction := range program {
		filter[i] = unix.SockFilter{Code: instruction.Op, Jt: instruction.Jt, Jf: instruction.Jf, K: instruction.K}
	}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}))
}

// read takes the packets until the deadline of the file has passed.
func (c *capture) read(raw syscall.RawConn) {
	defer close(c.done)
	_ = raw.Read(func(uintptr) bool { // an error: the deadline has passed
		c.takeBlocks()
		return false
	})
}

// takeBlocks takes what the kernel has handed over.
func (c *capture) takeBlocks() {
	now := bothClocks()
	for {
		block := c.ring[c.next*blockBytes:][:blockBytes]
		header := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr)]))
		if atomic.LoadUint32(&header.Block_status)&unix.TP_STATUS_USER == 0 {
			return
		}
		at := header.Offset_to_first_pkt
		for range header.Num_pkts {
			packet := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at]))
			// The address of the packet stands behind its header, which is aligned to 16 bytes
			// (TPACKET_ALIGN).
			address := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&block[at+uint32((unsafe.Sizeof(*packet)+15)&^15)]))
			stamp := int64(packet.Sec)*int64(time.Second) + int64(packet.Nsec)
			c.take(captured{
				at:     now.Add(time.Duration(stamp - now.UnixNano())),
				stamp:  stamp,
				index:  int(address.Ifindex),
				sent:   address.Pkttype == unix.PACKET_OUTGOING,
				detour: address.Pkttype == unix.PACKET_OTHERHOST,
				length: int(packet.Len),
				data:   block[at+uint32(packet.Mac):][:packet.Snaplen],
			})
			at += packet.Next_offset
		}
		c.taken.Add(header.Num_pkts)
		atomic.StoreUint32(&header.Block_status, unix.TP_STATUS_KERNEL)
		c.next = (c.next + 1) % blocks
	}
}

// bothClocks returns a moment at which the machine's clock and the monotonic one were read together:
// what lies between them may change, and another thread may run between the two readings.
func bothClocks() time.Time {
	best, least := time.Time{}, time.Duration(math.MaxInt64)
	for range 8 {
		before, now, after := time.Now(), time.Now(), time.Now()
		if apart := after.Sub(before); apart < least {
			best, least = now, apart
		}
		if least < 2*time.Microsecond {
			break
		}
	}
	return best
}

// stop ends the capture when all packets that the kernel has counted are taken, or when the kernel
// does not hand over the last ones in time, which then count as dropped.
func (c *capture) stop() error {
	err := c.takeRest()
	if deadline := c.file.SetReadDeadline(time.Unix(1, 0)); deadline != nil {
		return errors.Join(err, deadline) // read goes on, and uses the ring
	}
	<-c.done
	return errors.Join(err, c.close())
}

// takeRest returns when read has taken what the kernel has counted until now, or after a second.
func (c *capture) takeRest() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var counted *unix.TpacketStatsV3
	var failed error
	if err := raw.Control(func(fd uintptr) {
		counted, failed = unix.GetsockoptTpacketStatsV3(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); err != nil {
		return err
	}
	if failed != nil {
		return os.NewSyscallError("getsockopt PACKET_STATISTICS", failed)
	}
	c.dropped = counted.Drops
	ended := time.Now().Add(rig.Scaled(time.Second))
	for pause := time.Millisecond; ; pause = min(2*pause, retireMilliseconds*time.Millisecond) {
		left := int64(counted.Packets) - int64(counted.Drops) - int64(c.taken.Load())
		if left <= 0 {
			return nil
		}
		if time.Now().After(ended) {
			c.dropped += uint32(left)
			return nil
		}
		time.Sleep(pause) // until the kernel hands over the block
	}
}

// close closes the socket and gives the ring back.
func (c *capture) close() error {
	var err error
	if c.ring != nil {
		err = os.NewSyscallError("munmap", unix.Munmap(c.ring))
	}
	return errors.Join(err, c.file.Close())
}
