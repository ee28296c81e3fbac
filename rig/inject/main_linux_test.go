// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"forkrig/rig"
	"forkrig/rig/inject"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	rig.Main(m, rig.Programs{
		"inject":  inject.Shim,
		"asking":  asking,
		"serving": serving,
		"showing": showing,
	})
}

// asking obeys the lines of its standard input: "listen"; "waiting" and
// "nonblocking"; or who makes how many calls of getpriority, as in "self 3",
// "thread 3", "child 3". It prints what each gave, "." for success. It catches
// SIGUSR2, with SA_RESTART.
func asking(args []string) int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	fmt.Println("ready")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		who, times, _ := strings.Cut(orders.Text(), " ")
		n, _ := strconv.Atoi(times)
		switch who {
		case "listen":
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			fmt.Println("listening", err, unix.Listen(fd, 1))
		case "self":
			fmt.Println(ask(n))
		case "thread": // another one, because the main thread is this goroutine's
			answer := make(chan string)
			go func() { answer <- ask(n) }()
			fmt.Println(<-answer)
		case "waiting":
			fmt.Println(waitOrNot(0, 0))
		case "nonblocking":
			fmt.Println(waitOrNot(unix.WNOHANG, unix.MSG_DONTWAIT))
		case "child":
			child := exec.Command("/proc/self/exe")
			child.Args[0] = args[0]
			child.Stdin = strings.NewReader("self " + times + "\n")
			output, err := child.Output()
			if err != nil {
				fmt.Println(err)
			}
			fmt.Print(strings.TrimPrefix(string(output), "ready\n"))
		}
	}
	return 0
}

func ask(n int) string {
	var b strings.Builder
	for range n {
		_, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		b.WriteString(outcome(err))
	}
	return b.String()
}

func outcome(err error) string {
	if err == nil {
		return "."
	}
	return "[" + unix.ErrnoName(err.(syscall.Errno)) + "]"
}

// waitOrNot waits for a child, for time and for data twice, or not if the flags say
// so, and receives from a socket that never waits. There is no child, and there is data.
func waitOrNot(waitFlags, receiveFlags int) string {
	var pairs [2][2]int
	for i, kind := range []int{unix.SOCK_STREAM, unix.SOCK_STREAM | unix.SOCK_NONBLOCK} {
		pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err.Error()
		}
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		if _, err := unix.Write(pair[1], []byte("data")); err != nil {
			return err.Error()
		}
		pairs[i] = pair
	}
	_, err := unix.Wait4(-1, nil, waitFlags, nil)
	text := outcome(err)
	timeout := unix.Timespec{Nsec: 1}
	if waitFlags != 0 {
		timeout.Nsec = 0
	}
	_, err = unix.Ppoll(nil, &timeout, nil)
	text += outcome(err)
	for _, pair := range pairs {
		_, _, err = unix.Recvfrom(pair[0], make([]byte, 1), receiveFlags)
		text += outcome(err)
	}
	return text
}

// serving is a server as one writes it in C: one thread that accepts, reads,
// writes and closes, with handlers for SIGUSR1, without SA_RESTART, and SIGUSR2,
// with it. It prints what it sees. With "workers" a process of its own serves
// each connection; "fragile" takes any error of accept4 for the end.
func serving(args []string) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	clearRestart(syscall.SIGUSR1)
	port, _ := strconv.Atoi(args[1])
	workers, fragile := args[2] == "workers", args[2] == "fragile"
	if args[2] == "worker" {
		return serve(0)
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil || unix.Bind(listener, &unix.SockaddrInet4{Port: port}) != nil || unix.Listen(listener, 8) != nil {
		return 1
	}
	for {
		conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != nil {
			fmt.Println("accept4", unix.ErrnoName(err.(syscall.Errno)))
			if fragile {
				return 3
			}
			continue
		}
		if !workers {
			serve(conn)
			unix.Close(conn)
			continue
		}
		worker := exec.Command("/proc/self/exe", args[1], "worker")
		worker.Args[0] = args[0]
		worker.Stdin = os.NewFile(uintptr(conn), "connection")
		worker.Stdout = os.Stdout
		if err := worker.Run(); err != nil {
			fmt.Println("worker", err)
		}
		worker.Stdin.(*os.File).Close()
	}
}

// serve echoes until the end of the stream.
func serve(conn int) int {
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Read(conn, buffer)
		if err != nil {
			fmt.Println("read", unix.ErrnoName(err.(syscall.Errno)))
			if err == unix.EINTR {
				continue
			}
			return 4
		}
		if n == 0 {
			return 0
		}
		for sent := 0; sent < n; {
			m, err := unix.Write(conn, buffer[sent:n])
			if err == unix.EINTR {
				fmt.Println("write EINTR")
			} else if err != nil {
				return 5
			}
			sent += max(m, 0)
		}
	}
}

// clearRestart takes SA_RESTART from the handler that the Go runtime installed.
func clearRestart(s syscall.Signal) {
	type sigaction struct{ handler, flags, restorer, mask uint64 }
	var action sigaction
	const setSize = 8
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&action)), setSize, 0, 0)
	action.flags &^= 0x10000000
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
	runtime.KeepAlive(&action)
}

// showing prints what a program finds when it starts.
func showing(args []string) int {
	status, err := os.ReadFile("/proc/self/status")
	fds, fdErr := os.ReadDir("/proc/self/fd")
	dir, dirErr := os.Getwd()
	if err != nil || fdErr != nil || dirErr != nil {
		return 1
	}
	for line := range strings.Lines(string(status)) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Name", "Uid", "SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs":
			fmt.Print(line)
		}
	}
	fmt.Println(args, os.Environ(), dir, len(fds))
	return 0
}
