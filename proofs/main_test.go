// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"forkrig/client/tcpclient"
	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

func TestMain(m *testing.M) {
	programs := rig.Programs{
		"server": forkserver.Main,
		"client": tcpclient.Main,
		"inject": inject.Shim,
		"mute":   mute,
	}
	maps.Copy(programs, strangers)
	maps.Copy(programs, hostiles)
	if os.Getenv(commandEnv) != "" {
		os.Exit(cli.Main(os.Args, programs))
	}
	rig.Main(m, programs)
}

// fewer returns how many repetitions of the same thing a test makes: few with -short, and
// otherwise all.
func fewer(all, few int) int {
	if testing.Short() {
		return min(few, all)
	}
	return all
}

// commandEnv makes this test binary the command: see [forkrig].
const commandEnv = "FORKRIG_PROOFS_COMMAND"

// forkrig is the command as a process of its own, whose binary has the programs of this
// test binary, too.
func forkrig(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "FORKRIG_SANDBOX=") || strings.HasPrefix(e, "GITHUB_STEP_SUMMARY=")
	}), commandEnv+"=yes")
	return cmd
}
