// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkConnections measures how many connections per second a server
// completes: connect, one message there and back, close. One core per client
// is more than most machines have, so figures are comparable only within one
// run; compare fork with c, the same server in C.
func BenchmarkConnections(b *testing.B) {
	eachServer(b, func(b *testing.B, server netip.AddrPort, _ int) {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
				var left atomic.Int64
				left.Store(int64(b.N))
				errs := make(chan error, clients)
				var running sync.WaitGroup
				b.ResetTimer()
				for range clients {
					running.Go(func() {
						for left.Add(-1) >= 0 {
							if err := converse(server, nil); err != nil {
								errs <- err
								return
							}
						}
					})
				}
				running.Wait()
				b.StopTimer()
				close(errs)
				require.NoError(b, <-errs)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conn/s")
			})
		}
	})
}

// BenchmarkWorkerMemory measures what a live worker that has answered once
// holds for itself: its private pages, in KiB.
func BenchmarkWorkerMemory(b *testing.B) {
	eachServer(b, func(b *testing.B, server netip.AddrPort, pid int) {
		var total int
		for range b.N {
			require.NoError(b, converse(server, func() {
				await(b, "one worker", func() bool { return len(children(pid)) == 1 })
				total += privateKiB(b, children(pid)[0].PID)
			}))
			await(b, "no worker", func() bool { return len(children(pid)) == 0 })
		}
		b.ReportMetric(float64(total)/float64(b.N), "KiB/worker")
	})
}

// eachServer runs the benchmark against the server with either worker model, built
// as users run it, and against the one in C.
func eachServer(b *testing.B, bench func(b *testing.B, server netip.AddrPort, pid int)) {
	dir := b.TempDir()
	address := func(b *testing.B) netip.AddrPort { return netip.MustParseAddrPort(freeAddress(b)) }
	for _, model := range workerModels {
		b.Run(model, func(b *testing.B) {
			path := build(b, filepath.Join(dir, "server"), "go", "build", "-o", filepath.Join(dir, "server"), "forkrig/server")
			at := address(b)
			cmd := exec.Command(path, "-worker", model, "-log-level", "warn", "-listen", at.String())
			bench(b, at, serveFor(b, cmd, at))
		})
	}
	b.Run("c", func(b *testing.B) {
		path := build(b, filepath.Join(dir, "c"), "cc", "-O2", "-o", filepath.Join(dir, "c"), "testdata/forkserver.c")
		at := address(b)
		cmd := exec.Command(path, fmt.Sprint(at.Port()))
		bench(b, at, serveFor(b, cmd, at))
	})
}

// build makes path unless it exists.
func build(b *testing.B, path string, command ...string) string {
	b.Helper()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		b.Skipf("no server to compare with: %v", err)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(b, err, "%s", out)
	return path
}

// serveFor runs the server until the benchmark ends, and returns its process ID.
func serveFor(b *testing.B, cmd *exec.Cmd, at netip.AddrPort) (pid int) {
	b.Helper()
	cmd.Stderr = os.Stderr
	if strings.Contains(strings.Join(cmd.Args, " "), "-log-level") {
		cmd.Stderr = nil // the line done
	}
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
	})
	await(b, "listening server", func() bool { return converse(at, nil) == nil })
	await(b, "idle server", func() bool { return len(children(cmd.Process.Pid)) == 0 })
	return cmd.Process.Pid
}

// converse connects, sends a message, receives it and closes. It uses bare
// sockets so that the server is what is measured. It calls meanwhile, if there
// is one, before it closes.
func converse(server netip.AddrPort, meanwhile func()) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	message := []byte("hello, world\n")
	if _, err := unix.Write(fd, message); err != nil {
		return os.NewSyscallError("write", err)
	}
	reply := make([]byte, 64)
	n, err := unix.Read(fd, reply)
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if string(reply[:n]) != string(message) {
		return fmt.Errorf("sent %q, received %q", message, reply[:n])
	}
	if meanwhile != nil {
		meanwhile()
	}
	return nil
}

// privateKiB returns the memory that only this process maps.
func privateKiB(b *testing.B, pid int) (kib int) {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(b, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Private_") {
			var n int
			var name string
			fmt.Sscan(lines.Text(), &name, &n)
			if name == "Private_Clean:" || name == "Private_Dirty:" {
				kib += n
			}
		}
	}
	return kib
}
