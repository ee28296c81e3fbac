// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"os"
	"slices"
	"syscall"
)

// execWorker starts this binary again as the worker of the connection j.conn, and
// returns its process ID. The caller is locked to the main thread: the worker
// is killed when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)).
//
// The worker gets the server's own command line, so that it knows what the server knows.
func execWorker(cfg *config, j job) (pid int, err error) {
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2, uintptr(j.conn)}, // j.conn becomes workerConn
		Sys:   &syscall.SysProcAttr{},
	}
	if j.defect == WorkerKeepsListener {
		attr.Files = append(attr.Files, uintptr(j.listener))
	}
	if !j.outlive {
		attr.Sys.Pdeathsig = syscall.SIGKILL // also checks that the server still lives
	}
	return syscall.ForkExec("/proc/self/exe", slices.Insert(slices.Clone(cfg.args), 1, workerArgument), attr)
}

// serveAsWorker is Main in a worker that execWorker started.
func serveAsWorker(args []string) int {
	cfg, err := parseConfig(args[2:])
	if err != nil {
		return 2
	}
	return serveInGo(cfg.job(workerConn))
}
