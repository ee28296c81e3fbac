package tcpclient

import (
	"os"
	"os/exec"
	"syscall"
)

// ownProgram is this program, even if its file has been replaced or removed.
const ownProgram = "/proc/self/exe"

// tieToParent makes the kernel kill the process when the thread that starts it ends.
func tieToParent(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return nil
}

func wasKilled(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
