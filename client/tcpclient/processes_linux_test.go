package tcpclient

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProcesses(t *testing.T) {
	t.Parallel()
	for _, processes := range []string{"1", "3"} {
		address := serve(t, serveUpper)
		report, r := runReport(t, "-processes", processes, "-connections", "10", "-parallel", "2",
			"-messages", "2", "-service", "upper", "-seed", "77", address)
		assert.Equal(t, ExitOK, r.status, r.err)
		assert.Empty(t, r.err)
		assert.Equal(t, 10, report.OK)
		assert.Equal(t, 20, report.Messages)
		assert.EqualValues(t, 20*64, report.BytesReceived)
		assert.EqualValues(t, 20, report.RoundTrip.Count)
		assert.EqualValues(t, 77, report.Seed)
	}
}

// Connections of different processes send different bytes under numbers that are unique.
func TestProcessesSeeFaults(t *testing.T) {
	t.Parallel()
	report, r := runReport(t, "-processes", "4", "-connections", "4", serve(t, transform(func(b []byte) []byte { b[5] ^= 1; return b })))
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, 4, report.Mismatched)
	all := strings.Join(report.Errors, "\n")
	for _, number := range []string{"0", "1", "2", "3"} {
		assert.Contains(t, all, "connection "+number+" (")
	}
	assertOneLine(t, r.err)
}

func TestProcessesText(t *testing.T) {
	t.Parallel()
	r := runClient(t, nil, "-processes", "2", serve(t, serveEcho))
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.Contains(t, r.out, "  messages    2 verified\n")
}

func TestProcessesHold(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 10)
	p := start(t, "-json", "-processes", "3", "-connections", "10", "-hold", "-leave", "stall", serve(t, echoEnds(ends)))
	g := p.gathered("holding")
	assert.Equal(t, 10, g.Connections)
	assert.Equal(t, 0, g.Failed)
	assert.Len(t, g.PIDs, 3)
	require.NoError(t, p.in.Close())
	assert.Equal(t, 10, p.gathered("stalling").Connections)
	assert.Empty(t, ends)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	assert.Equal(t, 10, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
	for range 10 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

// The signal may as well go to all the processes at once, as to a process group.
func TestProcessesIgnoreTheSignalForTheirParent(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-processes", "2", "-hold", serve(t, serveEcho))
	for _, pid := range p.gathered("holding").PIDs {
		require.NoError(t, syscall.Kill(pid, syscall.SIGUSR1))
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	assert.Equal(t, 2, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
}

func TestProcessesLeaveByKill(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 6)
	report, r := runReport(t, "-processes", "2", "-connections", "6", "-leave", "kill", serve(t, echoEnds(ends)))
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.Equal(t, 6, report.OK)
	for range 6 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

// A process that is killed takes its connections with it; the others go on.
func TestProcessIsKilled(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-processes", "3", "-connections", "6", "-hold", serve(t, serveEcho))
	g := p.gathered("holding")
	require.NoError(t, syscall.Kill(g.PIDs[1], syscall.SIGKILL))
	require.NoError(t, p.in.Close())
	report := p.report()
	assert.Equal(t, 4, report.OK)
	assert.Equal(t, 2, report.Other)
	require.NotEmpty(t, report.Errors)
	assert.Regexp(t, `process 1 \(pid \d+\) ended without a report: signal: killed`, strings.Join(report.Errors, "\n"))
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
}

// The processes end with their parent, however it ends.
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 6)
	p := start(t, "-json", "-processes", "3", "-connections", "6", "-hold", "-leave", "stall", serve(t, echoEnds(ends)))
	var processes []int
	for _, pid := range p.gathered("holding").PIDs {
		fd, err := unix.PidfdOpen(pid, 0)
		if err == unix.ENOSYS {
			t.Skip("this kernel has no pidfd_open")
		}
		require.NoError(t, err)
		defer unix.Close(fd)
		processes = append(processes, fd)
	}
	require.Len(t, processes, 3)
	require.NoError(t, p.cmd.Process.Kill())
	for _, fd := range processes {
		awaitReadable(t, fd)
	}
	for range 6 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

// awaitReadable waits until the process that the pidfd refers to has ended.
func awaitReadable(t *testing.T, pidfd int) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(time.Until(end), 0).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, n, "the process has not ended")
		return
	}
}

// A pipe that ends is enough, for a kernel that does not kill: the parent is gone.
func TestPartEndsWithItsControlPipe(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 2)
	args := partArguments(share(4, 2, 1), 3, []string{"-json", "-processes", "2", "-connections", "4", "-hold", serve(t, echoEnds(ends))})
	p := start(t, args...)
	assert.Equal(t, 2, p.gathered("holding").Connections)
	require.NoError(t, p.in.Close())
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
	for range 2 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err := openPeer(master)
	if err != nil {
		t.Skip(err)
	}
	defer slave.Close()
	require.True(t, isTerminal(slave))
	require.False(t, isTerminal(os.NewFile(uintptr(mustPipe(t)), "pipe")))

	seen := make(chan string, 1)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 100)
		for {
			n, err := master.Read(buffer)
			text.Write(buffer[:n])
			if err != nil || strings.Contains(text.String(), "of 2 connections, 0 failed") {
				seen <- text.String()
				return
			}
		}
	}()
	var out safeBuffer
	ended := make(chan int, 1)
	in, feed, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	address := serve(t, serveEcho)
	go func() {
		ended <- run([]string{programName, "-hold", "-connections", "2", address}, streams{in, &out, slave})
	}()
	assert.Contains(t, await(t, seen), "of 2 connections, 0 failed")
	require.NoError(t, feed.Close())
	assert.Equal(t, ExitOK, await(t, ended))
}

func openPeer(master *os.File) (*os.File, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, os.NewSyscallError("TIOCGPTPEER", errno)
	}
	return os.NewFile(fd, "terminal"), nil
}

func mustPipe(t *testing.T) int {
	t.Helper()
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	t.Cleanup(func() { unix.Close(fds[1]) })
	return fds[0]
}
