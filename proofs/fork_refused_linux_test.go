// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/scorecard"
)

// What a server does with a client when fork fails. Each has a process for each client
// otherwise.
func init() {
	strangers["fork-or-serve"] = func(args []string) int {
		return forkOr(args, serveRaw, serveRaw)
	}
	strangers["fork-or-retry"] = func(args []string) int {
		return forkOr(args, serveRaw, func(client int) {
			for !forkWorker(client, serveRaw) {
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	strangers["fork-or-refuse"] = func(args []string) int {
		return forkOr(args, serveRaw, func(client int) { _, _ = syscall.Write(client, []byte("try again\n")) })
	}
	strangers["fork-and-gone"] = func(args []string) int { return forkOr(args, endUnserved, endUnserved) }
}

// forkOr is a server with a process for each client, which serves it. or gets the client where
// fork fails.
func forkOr(args []string, serve, or func(client int)) int {
	signal.Ignore(syscall.SIGCHLD) // so that the kernel reaps
	// The runtime must need no further thread while there is none: it would end the server.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	listener, err := net.Listen("tcp", args[2])
	if err == nil {
		var file *os.File
		if file, err = listener.(*net.TCPListener).File(); err == nil {
			listening := int(file.Fd())
			_ = syscall.SetNonblock(listening, false)
			for {
				client, _, err := syscall.Accept(listening)
				if err != nil {
					continue
				}
				if !forkWorker(client, serve) {
					or(client)
				}
				_ = syscall.Close(client)
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// forkWorker forks a process that serves the client, and says whether that was possible. The
// child makes system calls and nothing else, because it has one thread of the Go runtime.
//
//go:norace
//go:noinline
func forkWorker(client int, serve func(int)) bool {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		serve(client)
		for {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return errno == 0
}

// serveRaw sends back what comes, by raw system calls. It does not look whether the stack must
// grow, where the runtime would also have another goroutine run.
//
//go:norace
//go:nosplit
func serveRaw(client int) {
	var buffer [256]byte
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(client), uintptr(unsafe.Pointer(&buffer)), uintptr(len(buffer)))
		if errno != 0 || n == 0 {
			return
		}
		if _, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(client), uintptr(unsafe.Pointer(&buffer)), n); errno != 0 {
			return
		}
	}
}

// endUnserved has the process end with its client unserved, before anybody sees it.
//
//go:norace
//go:nosplit
func endUnserved(int) {}

// TestRefusedForks: what becomes of the client decides, not that fork failed.
func TestRefusedForks(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("fork-failure")
	require.NoError(t, err)
	for name, want := range map[string]struct {
		verdict scorecard.Verdict
		says    string
	}{
		"fork-or-serve":  {scorecard.Skip, "served even while the kernel refuses every fork"},
		"fork-or-retry":  {scorecard.Pass, "serves it when fork succeeds again"},
		"fork-or-refuse": {scorecard.Pass, "refused a new process to each of 3 clients"},
		"fork-and-gone":  {scorecard.Pass, "refused a new process to each of 3 clients"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := cli.BuiltIn()
			subject.Command[0] = rig.Program(name).Args[0]
			if name == "fork-and-gone" {
				subject.Service = dialogue.MustResolve("none")
			}
			result := selected[0].Judge(t, subject, rig.IPv4)
			assert.Equal(t, want.verdict, result.Verdict, "%+v", result)
			assert.Contains(t, strings.Join([]string{result.Observed, result.Reason}, "\n"), want.says)
		})
	}
}
