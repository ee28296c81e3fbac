// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/scorecard"
)

func pdeathsig() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// twoUsers is a server that keeps its real user, as some do that need its rights again.
func twoUsers(args []string) int {
	const nobody = 65534
	if err := syscall.Setreuid(-1, nobody); err != nil {
		fmt.Fprintln(os.Stderr, "become another user:", err)
		return 1
	}
	return threads(args)
}

// TestListenerOfTwoUsers: to limit a process whose user IDs differ takes CAP_SYS_RESOURCE, which
// root lacks in many containers. That is no error of the check.
func TestListenerOfTwoUsers(t *testing.T) {
	t.Parallel()
	if rig.Rootless() {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: rig.FeatureUsers, Remedy: "run as root: a sandbox made without root has one user only"})
	}
	selected, err := checks.Select("accept-emfile")
	require.NoError(t, err)
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program("two-users").Args[0]
	result := selected[0].Judge(t, subject, rig.IPv4)
	if result.Verdict == scorecard.Skip {
		assert.Contains(t, result.Reason, "CAP_SYS_RESOURCE")
		return
	}
	assert.Equal(t, scorecard.Pass, result.Verdict, "%+v", result)
}
