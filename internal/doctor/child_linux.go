// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"os/exec"
	"runtime"
	"syscall"
)

// runWithParent runs the command, and has the kernel kill it when this process dies.
// Pdeathsig follows the thread that starts the child (PR_SET_PDEATHSIG(2const)), so the
// thread stays until the child has ended.
func runWithParent(child *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return child.Run()
}
