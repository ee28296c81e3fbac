package forkserver

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// execWorker starts this binary again as the worker of connection conn, and
// returns its process ID. The caller is locked to the main thread: the worker
// is killed when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)).
//
// The worker gets the server's own command line, so that it knows what the server knows.
func execWorker(cfg *config, conn int) (pid int, err error) {
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2, uintptr(conn)}, // conn becomes workerConn
		Sys:   &syscall.SysProcAttr{},
	}
	if !cfg.leaveWorkers {
		attr.Sys.Pdeathsig = syscall.SIGKILL // also checks that the server still lives
	}
	return syscall.ForkExec("/proc/self/exe", slices.Insert(slices.Clone(cfg.args), 1, workerArgument), attr)
}

// serveAsWorker is Main in a worker that execWorker started. It answers as a
// forked worker does, but waits for input in a way that the Go runtime knows of.
func serveAsWorker(args []string) int {
	cfg, err := parseConfig(args[2:])
	if err != nil {
		return 2
	}
	input := []unix.PollFd{{Fd: workerConn, Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(input, -1); err == unix.EINTR {
			continue
		}
		if status, ended := answer(cfg.job(workerConn)); ended {
			return status
		}
	}
}
