// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/internal/testserver"
	"forkrig/rig"
)

// modelled is an echo server of the model in its first argument, at the address in the second.
func modelled(args []string) int {
	serve, known := map[string]func(*os.File, []string) error{
		"fork":        func(l *os.File, args []string) error { return eachOf(l, startWorker(args[0], "worker")) },
		"inetd":       func(l *os.File, _ []string) error { return eachOf(l, startWorker("cat")) },
		"threads":     threaded,
		"serial":      func(l *os.File, _ []string) error { return eachOf(l, echoOn) },
		"loop":        func(l *os.File, _ []string) error { return loop(l) },
		"pre-forked":  preForking,
		"daemonizing": daemonizing,
	}[args[1]]
	if !known { // a process of one of these
		on := os.NewFile(0, "standard input")
		switch args[1] {
		case "worker":
			echoOn(0)
		case "serving":
			_ = eachOf(on, echoOn)
		case "daemon":
			_ = loop(on)
		}
		return 0
	}
	listening := net.ListenConfig{}
	listening.SetMultipathTCP(false)
	listener, err := listening.Listen(context.Background(), "tcp", args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	file, err := listener.(*net.TCPListener).File()
	if err == nil {
		listener.Close()
		err = serve(file, args)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// eachOf gives each connection to serve, which closes it. Its calls block, without the poller
// of the Go runtime.
func eachOf(listener *os.File, serve func(conn int)) error {
	fd := int(listener.Fd()) // which blocks now
	for {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		serve(conn)
	}
}

// echoOn echoes until the client has left, and closes the connection.
func echoOn(conn int) {
	defer unix.Close(conn)
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Read(conn, buffer)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return
		}
		_, _ = unix.Write(conn, buffer[:n]) // the client may have left
	}
}

// startWorker starts a process for a connection.
func startWorker(command ...string) func(int) {
	return func(conn int) {
		stream := os.NewFile(uintptr(conn), "connection")
		defer stream.Close()
		worker := childOf(command, stream)
		if worker.Start() == nil {
			go func() { _ = worker.Wait() }() // however it ended
		}
	}
}

// childOf is a process with this standard input and output; a command without a slash is the
// program of the machine, or this one under a name of the rig.
func childOf(command []string, stream *os.File) *exec.Cmd {
	path := command[0]
	if strings.HasPrefix(path, rig.Program("").Args[0]) {
		path = "/proc/self/exe"
	}
	child := exec.Command(path, command[1:]...)
	child.Args[0] = command[0]
	child.Stdin, child.Stdout = stream, stream
	return child
}

func threaded(listener *os.File, _ []string) error {
	return eachOf(listener, func(conn int) {
		go func() {
			runtime.LockOSThread()
			echoOn(conn)
		}()
	})
}

func loop(file *os.File) error {
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	file.Close()
	return testserver.Serve(listener, testserver.Echo)
}

func preForking(listener *os.File, args []string) error {
	const workers = 3
	var last *exec.Cmd
	for range workers {
		last = childOf([]string{args[0], "serving"}, listener)
		if err := last.Start(); err != nil {
			return err
		}
	}
	return last.Wait() // it keeps the listening socket
}

func daemonizing(listener *os.File, args []string) error {
	if err := childOf([]string{args[0], "daemon"}, listener).Start(); err != nil {
		return err
	}
	unix.Exit(0) // the race detector's os.Exit takes a second
	return nil
}

// setting is a server that has set what its first argument says, at the address in the second.
func setting(args []string) int {
	listening, mptcp := net.ListenConfig{}, false
	switch args[1] {
	case "SO_REUSEPORT":
		listening = testserver.WithOption(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	case "TCP_DEFER_ACCEPT":
		listening = testserver.WithOption(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1)
	case "SO_KEEPALIVE":
		listening = testserver.WithOption(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	case "MPTCP":
		mptcp = true
	case "signals": // the mask of this thread and ignored signals survive the execution
		runtime.LockOSThread()
		signal.Ignore(unix.SIGTTOU)
		blocked := unix.Sigset_t{}
		blocked.Val[0] = 1 << (unix.SIGUSR2 - 1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, nil); err != nil {
			return 1
		}
		args[1] = "nothing"
		fmt.Fprintln(os.Stderr, syscall.Exec("/proc/self/exe", args, os.Environ()))
		return 1
	case "limits":
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "two ports":
		if _, err := net.Listen("tcp", ":7778"); err != nil {
			return 1
		}
	case "loopback, too":
		if _, err := net.Listen("tcp", "localhost:7778"); err != nil {
			return 1
		}
	case "directory":
		if err := os.WriteFile(args[3]+"/file", []byte("x"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	listening.SetMultipathTCP(mptcp)
	return testserver.RunWith(listening, args[2], func(conn net.Conn) {
		if args[1] == "closing" {
			fmt.Fprint(conn, "\x1b220 bye\r\n")
			time.Sleep(10 * time.Millisecond) // it is what takes time
			return
		}
		testserver.Echo(conn)
	})
}
