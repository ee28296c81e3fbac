// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/report"
	"forkrig/rig"
)

// TestFailuresAreKept: a test that fails leaves its recording, and one that passes does not.
func TestFailuresAreKept(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "made")
		outcome := rig.Try(t, func(tb testing.TB) {
			record := report.OnFailure(tb, dir)
			lab := rig.New(tb)
			lab.NewStar("server", "client", 1)
			record(lab)
			if fails {
				tb.Error("wrong")
			}
		})
		require.Equal(t, fails, outcome.Failed, outcome.Log)
		if !fails {
			assert.NoDirExists(t, dir)
			continue
		}
		name := filepath.Join(dir, "TestFailuresAreKept")
		assert.Contains(t, outcome.Log, "what happened: "+name+".html\n")
		kept, err := recorder.ReadFile(name + ".json")
		require.NoError(t, err)
		assert.Equal(t, "fail", kept.Outcome.Verdict)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, entries, 5)
	}
}
