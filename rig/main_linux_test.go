// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/program"
	"forkrig/rig/internal/sandbox"
)

// TestMain gives the tests helper programs, most of which misbehave in one way.
func TestMain(m *testing.M) {
	programs := Programs{
		"hello":       hello,
		"stubborn":    stubborn,
		"littering":   littering,
		"orphaning":   orphaning,
		"replacing":   replacing,
		"lazy":        lazy,
		"listening":   listening,
		"chatty":      chatty,
		"counting":    counting,
		"ignoring":    ignoring,
		"assassin":    assassin,
		"covering":    covering,
		"limiting":    limiting,
		"daemon":      daemon,
		"spinning":    spinning,
		"leaderless":  leaderless,
		"opening":     opening,
		"murderous":   murderous,
		"breeding":    breeding,
		"attached":    attached,
		"blocking":    blocking,
		"bare":        bare,
		"procless":    procless,
		"flooding":    flooding,
		"becoming":    becoming,
		"confessing":  confessing,
		"withholding": withholding,
		"crashing":    crashing,
		"deepcrash":   crashing,
		"traced":      traced,
	}
	withBuiltins(programs).runIfAsked()
	if name := os.Getenv(victimEnv); name != "" {
		victim, ok := victims[name]
		if !ok {
			panic("no victim is called " + name)
		}
		if !sandbox.IsInit() {
			os.Args = testArgs(os.Args)
		}
		os.Exit(statusOf(sandboxed(victim)))
	}
	Main(m, programs)
}

// hello writes a line to each stream and ends with status 3.
func hello(args []string) int {
	fmt.Println("hello", args[1:], os.Getenv("GREETING"))
	fmt.Fprintln(os.Stderr, "uid", os.Getuid())
	return 3
}

// stubborn ignores SIGTERM.
func stubborn([]string) int {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("ready")
	return stay()
}

// littering leaves two zombies and waits for the end of its input.
func littering([]string) int {
	for range 2 {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{program.Arg0("hello")}, &syscall.ProcAttr{})
		if err != nil || unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) != nil {
			return 1
		}
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// orphaning starts a child that ignores SIGTERM, and ends on SIGTERM itself.
func orphaning([]string) int {
	child := exec.Command("/proc/self/exe")
	child.Args[0] = program.Arg0("stubborn")
	stdout, err := child.StdoutPipe()
	if err != nil || child.Start() != nil {
		return 1
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	fmt.Print(line)
	return stay()
}

// replacing has eight children, and starts another one for each that ends, as the first process of
// a server with workers does.
func replacing([]string) int {
	for range 8 {
		go func() {
			for {
				_ = exec.Command("sleep", "1000").Run()
			}
		}()
	}
	fmt.Println("ready")
	return stay()
}

// lazy reaps its one child only when it is told to by SIGUSR1.
func lazy([]string) int {
	orders := make(chan os.Signal, 1)
	signal.Notify(orders, syscall.SIGUSR1)
	pid, err := syscall.ForkExec("/proc/self/exe", []string{program.Arg0("hello")}, &syscall.ProcAttr{})
	if err != nil {
		return 1
	}
	fmt.Println("ready")
	<-orders
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		return 1
	}
	return stay()
}

// listening accepts connections at its argument and keeps them.
func listening(args []string) int {
	listener, err := net.Listen("tcp", args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var kept []net.Conn
	for {
		conn, err := listener.Accept()
		if err != nil {
			return 1
		}
		kept = append(kept, conn)
		fmt.Println("accepted", len(kept))
	}
}

// chatty writes its argument's number of lines.
func chatty(args []string) int {
	var n int
	if _, err := fmt.Sscan(args[1], &n); err != nil {
		return 2
	}
	out := bufio.NewWriter(os.Stdout)
	for i := range n {
		fmt.Fprintf(out, "line %d\n", i)
	}
	return map[bool]int{true: 0, false: 1}[out.Flush() == nil]
}

// counting counts SIGUSR1 and SIGUSR2 until the end of its input.
func counting([]string) int {
	signals := make(chan os.Signal, 1<<16)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	fmt.Println("ready")
	end := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(end)
	}()
	<-end
	fmt.Println("received", len(signals))
	return 0
}

// ignoring ignores SIGUSR1 until SIGTERM ends it.
func ignoring([]string) int {
	signal.Ignore(syscall.SIGUSR1)
	fmt.Println("ready")
	return stay()
}

// daemon starts listening in a session of its own, and ends.
func daemon(args []string) int {
	child := exec.Command("/proc/self/exe", args[1:]...)
	child.Args[0] = program.Arg0("listening")
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if child.Start() != nil {
		return 1
	}
	return 0
}

// leaderless goes on without its first thread, as after pthread_exit(3).
func leaderless([]string) int {
	go func() {
		fmt.Println("ready")
		stay()
		os.Exit(0)
	}()
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	return 1
}

// traced lets its parent trace one of its threads, the first one or another, and is stopped
// by a signal.
func traced(args []string) int {
	trace := func() {
		runtime.LockOSThread()
		fmt.Println("ready") // from here on any signal stops it, such as one of the Go runtime
		_, _, errno := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
		if errno != 0 {
			panic(errno)
		}
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), syscall.SIGURG)
		stay()
	}
	// A goroutine that holds its thread makes the others run on other ones.
	var search func()
	search = func() {
		runtime.LockOSThread()
		if (unix.Gettid() == unix.Getpid()) == (args[1] == "first") {
			trace()
		}
		go search()
		stay()
	}
	search()
	return 1
}

// spinning never sleeps.
func spinning([]string) int {
	for n := 0; ; n++ {
		if n < 0 {
			n = 0
		}
	}
}

// opening opens a file for each line of its input, and says what came of it.
func opening([]string) int {
	lines := bufio.NewScanner(os.Stdin)
	for n := 1; lines.Scan(); n++ {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			fmt.Println(n, err)
		} else {
			fmt.Println(n, "opened")
		}
	}
	return 0
}

// blockingCommand runs the program blocking.
func blockingCommand() Command {
	c := Program("blocking")
	c.Stdin, c.StopSignal = true, syscall.SIGKILL
	return c
}

// blocking blocks SIGUSR1, SIGUSR2 and signal 40 in all its threads until
// the end of its input, and then says which of these wait. A signal mask survives
// an execution, and the Go runtime gives each thread that of the first.
func blocking(args []string) int {
	var set unix.Sigset_t
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, 40} {
		set.Val[0] |= 1 << (s - 1)
	}
	if len(args) == 1 {
		if unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil) != nil {
			return 1
		}
		fmt.Fprintln(os.Stderr, syscall.Exec("/proc/self/exe", append(args, "blocked"), os.Environ()))
		return 1
	}
	for range 3 {
		go func() {
			runtime.LockOSThread()
			time.Sleep(1 << 62)
		}()
	}
	waiting, err := unix.Signalfd(-1, &set, unix.SFD_NONBLOCK)
	if err != nil {
		return 1
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	var info unix.SignalfdSiginfo
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	for {
		if _, err := unix.Read(waiting, raw); err != nil {
			return map[bool]int{true: 0, false: 1}[err == unix.EAGAIN]
		}
		fmt.Printf("signal %d code %d value %d pid %d\n", info.Signo, info.Code, info.Int, info.Pid)
	}
}

// stay keeps the program running until a signal ends it. An empty select would
// do in a program with cgo; in one without, the runtime takes it for a deadlock.
func stay() int {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGWINCH)
	<-never
	return 1
}
