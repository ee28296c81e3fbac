// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"forkrig/rig"
	"forkrig/rig/inject"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkConversations measures how many conversations per second a server in
// C that forks for each completes: connect, one message there and back, close.
// Its accepts are left alone, trapped but not hit, hit every second time, and the
// same by strace(1). Figures are comparable within one run only.
func BenchmarkConversations(b *testing.B) {
	server := filepath.Join(b.TempDir(), "server")
	if _, err := exec.LookPath("cc"); err != nil {
		b.Skipf("no server to measure: %v", err)
	}
	output, err := exec.Command("cc", "-O2", "-o", server, "testdata/server.c").CombinedOutput()
	require.NoError(b, err, string(output))
	lab := rig.New(b)
	host := lab.NewHost("server")
	accepts := []inject.Call{"accept", "accept4"}
	interrupt := inject.Rule{Calls: accepts, Every: 2, Errno: syscall.EINTR}
	bare := func(b *testing.B, c rig.Command) (hits func() int) {
		host.MustStart(c)
		return nil
	}
	injected := func(rules ...inject.Rule) func(b *testing.B, c rig.Command) func() int {
		return func(b *testing.B, c rig.Command) func() int {
			s := start(b, host, c, accepts...)
			require.NoError(b, s.Set(rules...))
			return func() int { return len(s.Hits()) }
		}
	}
	strace := func(more ...string) func(b *testing.B, c rig.Command) func() int {
		return func(b *testing.B, c rig.Command) func() int {
			if _, err := exec.LookPath("strace"); err != nil {
				b.Skipf("nothing to compare with: %v", err)
			}
			c.Args = slices.Concat([]string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept,accept4",
				"-e", "inject=accept,accept4:error=EINTR:when=2+2"}, more, c.Args)
			return bare(b, c)
		}
	}
	port := uint16(7000)
	for _, clients := range []int{1, 8} {
		for _, bench := range []struct {
			name  string
			start func(b *testing.B, c rig.Command) (hits func() int)
		}{
			{"none", bare},
			{"trapped", injected()},
			{"interrupted", injected(interrupt)},
			{"strace", strace()},
			{"strace_bpf", strace("--seccomp-bpf")},
		} {
			b.Run(fmt.Sprintf("%s/clients=%d", bench.name, clients), func(b *testing.B) {
				port++
				hits := bench.start(b, rig.Exec(server, fmt.Sprint(port)))
				require.NoError(b, rig.Await(b.Context(), "a listener", func() (bool, string, error) {
					sockets, err := host.Sockets()
					return len(sockets.On(port).In(rig.Listening)) > 0, sockets.String(), err
				}))
				converseAll(b, host, port, clients)
				if bench.name == "interrupted" {
					// The first accept may have been made before, the last may yet be made.
					require.GreaterOrEqual(b, hits(), b.N-2)
				}
				_, _, err := lab.KillTogether(b.Context(), host.Matching("everything", nil))
				require.NoError(b, err)
			})
		}
	}
}

// converseAll holds b.N conversations, each client one after the other.
func converseAll(b *testing.B, host *rig.Host, port uint16, clients int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make([]error, clients)
	var running sync.WaitGroup
	b.ResetTimer()
	for i := range clients {
		running.Go(func() {
			errs[i] = host.Do(func() error {
				for left.Add(-1) >= 0 {
					if err := converse(port); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	running.Wait()
	b.StopTimer()
	require.NoError(b, errors.Join(errs...))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conv/s")
}

// converse uses bare sockets, so that the server is what is measured.
func converse(port uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	message := []byte("hello, world\n")
	if _, err := unix.Write(fd, message); err != nil {
		return os.NewSyscallError("write", err)
	}
	reply := make([]byte, 64)
	n, err := unix.Read(fd, reply)
	if err != nil || string(reply[:n]) != string(message) {
		return fmt.Errorf("sent %q, received %q: %w", message, reply[:n], err)
	}
	return nil
}
