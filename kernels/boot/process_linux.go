// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a guest's process, and those that it starts: they are one process group.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex
	reaped bool // the group's number may be another's
}

// start starts a command in a process group of its own. It is killed when this process ends.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that has started the process ends (prctl(2),
		// PR_SET_PDEATHSIG), so this thread stays until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.reap()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// reap waits for the process and ends what it has started.
func (p *process) reap() {
	defer close(p.ended)
	for {
		// The zombie stays, and with it the number of the group.
		if err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd.Wait() // the state of the process says how it ended
	p.reaped = true
}

// kill ends the process and all that it has started.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // there is nothing to end where it fails
	}
}

// wait waits for the end of the process and says how it ended.
func (p *process) wait() string {
	<-p.ended
	return p.cmd.ProcessState.String()
}
