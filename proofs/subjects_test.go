// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRealServers judges the subjects that FORKRIG_SUBJECTS names, by subjects/run, and compares with
// what is right to say of them. `make flake-subjects` repeats it beside processes that compute
// without a pause.
func TestRealServers(t *testing.T) {
	names := strings.Fields(os.Getenv("FORKRIG_SUBJECTS"))
	if len(names) == 0 {
		t.Skip("name some of subjects/subjects.txt in FORKRIG_SUBJECTS, after make bin/forkrig bin/subjects")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), "../subjects/run", name).CombinedOutput()
			assert.NoError(t, err, "%s", output)
		})
	}
}
