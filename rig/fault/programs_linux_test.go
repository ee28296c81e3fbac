// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/internal/testserver"
	"forkrig/rig"
)

// programs are what the faults of processes, signals and time are applied to.
var programs = rig.Programs{
	"threads": threads,
	"family":  family,
	"echo":    echo,
	"clock":   clock,
}

// threads has ten threads, says "ready" and waits to be killed. SIGUSR1 and
// SIGCHLD are caught and change nothing.
func threads([]string) int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1, syscall.SIGCHLD)
	var started sync.WaitGroup
	for range 10 {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			_ = syscall.Nanosleep(&syscall.Timespec{Sec: 1 << 30}, nil)
		}()
	}
	started.Wait()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, never{})
	return 0
}

// never is a reader that waits for ever.
type never struct{}

func (never) Read([]byte) (int, error) {
	time.Sleep(1 << 62)
	return 0, io.EOF
}

// family is threads with two children that are the same.
func family([]string) int {
	for range 2 {
		child := exec.Command("/proc/self/exe")
		child.Args[0] = rig.Program("threads").Args[0]
		out, err := child.StdoutPipe()
		if err != nil || child.Start() != nil {
			return 1
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			return 1
		}
	}
	return threads(nil)
}

// echo sends back what comes, at its argument. A connection that begins with an
// x is closed at once.
func echo(args []string) int {
	return testserver.Run(args[1], func(conn net.Conn) {
		buffer := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buffer)
			if err != nil || buffer[0] == 'x' {
				return
			}
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
}

// clock says what its clocks show, and so does a child of it; then it waits.
func clock(args []string) int {
	fmt.Println("clocks", showClocks(), syscall.Getuid())
	if len(args) == 1 {
		child := exec.Command("/proc/self/exe", "child")
		child.Args[0], child.Stdout = args[0], os.Stdout
		if child.Run() != nil {
			return 1
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, never{})
	}
	return 0
}

// showClocks returns the seconds of CLOCK_MONOTONIC, CLOCK_BOOTTIME and
// CLOCK_REALTIME.
func showClocks() string {
	var shown []int64
	for _, clock := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME, unix.CLOCK_REALTIME} {
		var now unix.Timespec
		if err := unix.ClockGettime(clock, &now); err != nil {
			return err.Error()
		}
		shown = append(shown, now.Sec)
	}
	return fmt.Sprint(shown[0], shown[1], shown[2])
}
