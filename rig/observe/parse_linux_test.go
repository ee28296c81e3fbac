// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestParseSignals(t *testing.T) {
	t.Parallel()
	const status = "Name:\tx\nSigQ:\t0/1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000010000\n" +
		"SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000200\nCapInh:\t0\n"
	masks, err := parseSignals([]byte(status))
	require.NoError(t, err)
	assert.True(t, masks.Pending.Has(syscall.SIGCHLD))
	assert.Equal(t, "{SIGHUP}", masks.Blocked.String())
	assert.Equal(t, []syscall.Signal{syscall.SIGPIPE}, masks.Ignored.Signals())
	assert.Equal(t, []syscall.Signal{syscall.SIGUSR1, 64}, masks.Caught.Signals())
	assert.False(t, masks.Caught.Has(0))

	_, err = parseSignals([]byte("Name:\tx\n"))
	assert.ErrorContains(t, err, "there is no field S")
	_, err = parseSignals([]byte(strings.Replace(status, "SigCgt:\t", "SigCgt:\tnonsense", 1)))
	assert.ErrorContains(t, err, "parse SigCgt")
}

func TestFDKinds(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]FD{
		"socket:[42]":                      {Kind: FDSocket, Inode: 42},
		"pipe:[7]":                         {Kind: FDPipe, Inode: 7},
		"anon_inode:[eventpoll]":           {Kind: FDAnon},
		"/dev/null":                        {Kind: FDFile},
		"/tmp/socket:[42]":                 {Kind: FDFile},
		"net:[4026531840]":                 {Kind: FDOther},
		"socket:[nonsense]":                {Kind: FDOther},
		"/memfd:x (deleted)":               {Kind: FDFile},
		"socket:[99999999999999999999999]": {Kind: FDOther},
	} {
		want.Number, want.Target = 3, target
		assert.Equal(t, want, fdOf(3, target))
	}
}

func waitsWithTimer(line string) bool {
	b, ok := parseBlocked(line)
	return ok && b.timed()
}

func TestTimedWait(t *testing.T) {
	for line, timed := range map[string]bool{
		"running\n":        false,
		"-1 0x7ffd 0x7f\n": false,
		"22 0x4 0x7ffd 0x80 0xffffffffffffffff 0x0 0x8 0x7ffd 0x7f\n": false,
		"": false,
	} {
		assert.Equal(t, timed, waitsWithTimer(line), line)
	}
	line := func(call int, arguments string) string {
		return fmt.Sprintf("%d %s 0x7ffd 0x7f", call, arguments)
	}
	assert.True(t, waitsWithTimer(line(unix.SYS_EPOLL_PWAIT, "0x4 0x7ffd 0x80 0x3e8 0x0 0x8")))
	assert.False(t, waitsWithTimer(line(unix.SYS_EPOLL_PWAIT, "0x4 0x7ffd 0x80 0xffffffff 0x0 0x8")))
	assert.True(t, waitsWithTimer(line(unix.SYS_PPOLL, "0x4 0x1 0x7ffd 0x0 0x0 0x0")))
	assert.False(t, waitsWithTimer(line(unix.SYS_PPOLL, "0x4 0x1 0x0 0x0 0x0 0x0")))
	assert.True(t, waitsWithTimer(line(unix.SYS_NANOSLEEP, "0x4 0x1 0x0 0x0 0x0 0x0")))
	assert.False(t, waitsWithTimer(line(unix.SYS_READ, "0x4 0x1 0x0 0x0 0x0 0x0")))
}

// TestWaits: each call shows for what it waits, and for how long.
func TestWaits(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		wait func(fd, epoll int) error // until fd has a byte
		want Wait
	}{
		"read":         {func(fd, _ int) error { _, err := unix.Read(fd, make([]byte, 1)); return err }, Wait{OnSocket: true, Reads: true}},
		"recvfrom":     {func(fd, _ int) error { _, _, err := unix.Recvfrom(fd, make([]byte, 1), 0); return err }, Wait{OnSocket: true, Reads: true}},
		"poll":         {func(fd, _ int) error { return polled(fd, -1) }, Wait{OnSocket: true}},
		"timed poll":   {func(fd, _ int) error { return polled(fd, 90_000) }, Wait{OnSocket: true, Timed: true, Timeout: 90 * time.Second}},
		"ppoll":        {func(fd, _ int) error { return ppolled(fd, nil) }, Wait{OnSocket: true}},
		"timed ppoll":  {func(fd, _ int) error { return ppolled(fd, &unix.Timespec{Sec: 90, Nsec: 5}) }, Wait{OnSocket: true, Timed: true, Timeout: 90*time.Second + 5}},
		"select":       {func(fd, _ int) error { return selectedFD(fd, nil) }, Wait{OnSocket: true}},
		"timed select": {func(fd, _ int) error { return selectedFD(fd, &unix.Timeval{Sec: 90, Usec: 5}) }, Wait{OnSocket: true, Timed: true, Timeout: 90*time.Second + 5*time.Microsecond}},
		"epoll":        {func(_, epoll int) error { return epolled(epoll, -1) }, Wait{OnSocket: true}},
		"timed epoll":  {func(_, epoll int) error { return epolled(epoll, 90_000) }, Wait{OnSocket: true, Timed: true, Timeout: 90 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The threads of the test itself wait, too, so what is awaited is one wait of that kind.
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			require.NoError(t, err)
			require.NoError(t, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, pair[0], &unix.EpollEvent{Events: unix.EPOLLIN}))
			var stat unix.Stat_t
			require.NoError(t, unix.Fstat(pair[0], &stat))
			ended := make(chan unix.Errno)
			go func() {
				var err unix.Errno = unix.EINTR
				for err == unix.EINTR { // the runtime sends signals
					err, _ = story.wait(pair[0], epoll).(unix.Errno)
				}
				ended <- err
			}()
			deadline := time.Now().Add(time.Minute)
			var seen []Wait
			for found := false; !found; {
				seen, err = ReadWaits(os.Getpid(), uint32(stat.Ino))
				require.NoError(t, err)
				found = slices.Contains(seen, story.want)
				if time.Now().After(deadline) {
					require.Fail(t, "not seen", "%+v", seen)
				}
			}
			seen, err = ReadWaits(os.Getpid(), uint32(stat.Ino)+1<<30)
			require.NoError(t, err)
			assert.False(t, slices.ContainsFunc(seen, func(w Wait) bool { return w.OnSocket }), "%+v", seen)
			_, err = unix.Write(pair[1], []byte{1})
			require.NoError(t, err)
			require.Zero(t, <-ended)
			for _, fd := range []int{pair[0], pair[1], epoll} {
				unix.Close(fd)
			}
		})
	}
}

func polled(fd, milliseconds int) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: -1}, {Fd: int32(fd), Events: unix.POLLIN}}, milliseconds)
	return err
}

func ppolled(fd int, limit *unix.Timespec) error {
	_, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, limit, nil)
	return err
}

func selectedFD(fd int, limit *unix.Timeval) error {
	var set unix.FdSet
	set.Set(fd)
	_, err := unix.Select(fd+1, &set, nil, nil, limit)
	return err
}

func epolled(epoll, milliseconds int) error {
	_, err := unix.EpollWait(epoll, make([]unix.EpollEvent, 1), milliseconds)
	return err
}

// TestCountersAreRead: and what is malformed is an error.
func TestCountersAreRead(t *testing.T) {
	c := Counters{}
	require.NoError(t, c.addTable("Tcp: A MaxConn\nTcp: 3 -1\nUdp: A\nUdp: 4\n"))
	require.NoError(t, c.addList("Ip6InReceives   \t 5\n"))
	assert.Equal(t, Counters{"TcpA": 3, "TcpMaxConn": -1, "UdpA": 4, "Ip6InReceives": 5}, c)
	assert.Error(t, c.addTable("Tcp: A B\nTcp: 3\n"))
	assert.Error(t, c.addTable("Tcp: A\nUdp: 3\n"))
	assert.Error(t, c.addTable("Tcp: A\nTcp: x\n"))
}

func FuzzParseSignals(f *testing.F) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status)
	f.Add([]byte("SigPnd:\t\nShdPnd:\nSigBlk:x\nSigIgn:1\nSigCgt:2\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		masks, err := parseSignals(status)
		if err != nil && masks != (SignalMasks{}) {
			t.Errorf("masks %v with error %v", masks, err)
		}
	})
}

// FuzzStatusField: the value is in the text, behind its name at the start of a line.
func FuzzStatusField(f *testing.F) {
	f.Add([]byte("Name:\tx\nTgid:\t7\nSigIgn:\t0000000000001000\n"), "SigIgn")
	f.Add([]byte("pos:\t0\nflags:\t02004002\n"), "flags")
	f.Add([]byte("Name:\tTgid:\t7"), "Tgid")
	f.Add([]byte(":"), "")
	f.Fuzz(func(t *testing.T, status []byte, field string) {
		value, err := StatusField(status, field)
		if err == nil && (value != strings.TrimSpace(value) || !strings.Contains("\n"+string(status), "\n"+field+":") || !strings.Contains(string(status), value)) {
			t.Errorf("%q of %q is %q", field, status, value)
		}
	})
}

func FuzzFDOf(f *testing.F) {
	f.Add("socket:[1]")
	f.Add("anon_inode:[eventfd]")
	f.Fuzz(func(t *testing.T, target string) {
		fd := fdOf(5, target)
		if fd.Target != target || fd.Kind == "" || fd.Inode != 0 && fd.Kind != FDSocket && fd.Kind != FDPipe {
			t.Errorf("%q became %+v", target, fd)
		}
	})
}

// FuzzTimedWait: a call is a wait with an end only where it says so in all seven fields.
func FuzzTimedWait(f *testing.F) {
	for _, line := range []string{"running", "-1 0x7ffe 0x7f", "35 0x7ffc 0x0 0x0 0x0 0x0 0x0 0x7ffc 0x7f",
		"7 0x1 0x1 0xffffffff 0x0 0x0 0x0 0x7ffc 0x7f", "271 0x1 0x1 0x7f 0x0 0x0 0x0 0x7ffc 0x7f", "7 x x x x x x", "99999999999999999999 0 0 0 0 0 0"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if !waitsWithTimer(line) {
			return
		}
		if fields := strings.Fields(line); len(fields) < 7 || strings.Trim(fields[0], "+-0123456789") != "" {
			t.Errorf("%q is taken for a wait", line)
		}
		if waitsWithTimer("running") || waitsWithTimer(strings.Join(strings.Fields(line)[:6], " ")) {
			t.Errorf("a part of %q is taken for a wait", line)
		}
	})
}

// FuzzSocketRow: rows of any shape become a socket.
func FuzzSocketRow(f *testing.F) {
	f.Add(uint8(unix.AF_INET), uint8(10), []byte{10, 0, 0, 1}, uint16(9999), uint32(3), uint32(1))
	f.Add(uint8(unix.AF_INET6), uint8(1), []byte("0123456789abcdef"), uint16(0), uint32(0), uint32(0xffffffff))
	f.Add(uint8(unix.AF_INET), uint8(255), []byte{}, uint16(65535), uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, family, state uint8, ip []byte, port uint16, queue, inode uint32) {
		row := &netlink.Socket{Family: family, State: state, RQueue: queue, INode: inode}
		row.ID.Source, row.ID.SourcePort, row.ID.Destination, row.Expires = ip, port, ip, queue
		s := SocketOf(row)
		if s.Inode != inode || s.RecvQueue != queue || s.Local.Port() != port || s.TimerLeft < 0 {
			t.Errorf("%+v became %+v", row, s)
		}
		if s.Local.Addr().IsValid() != (len(ip) == 4 || len(ip) == 16) {
			t.Errorf("address of %d bytes became %v", len(ip), s.Local)
		}
		if text := s.String(); text == "" || len(text) > 300 {
			t.Errorf("%+v is written as %q", s, text)
		}
	})
}

func TestNameCall(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "running", nameCall("running"))
	assert.Equal(t, "?", nameCall("?"))
	assert.Equal(t, "system call 9999(0x1 0x2)", nameCall("9999 0x1 0x2"))
	assert.Equal(t, "futex(0x1)", nameCall(fmt.Sprint(unix.SYS_FUTEX, " 0x1")))
}
