// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// TestSoakKeepsItsLastState: the card has what was found since it was written before, however
// short ago.
func TestSoakKeepsItsLastState(t *testing.T) {
	dir := &soakDir{path: t.TempDir()}
	tell := dir.progress(io.Discard, Setup{Name: "fork"}, map[rig.Family]search.Traits{rig.IPv4: {}},
		func(search.Story) string { return "" })
	for _, report := range []search.Report{{Schedules: 1}, {Schedules: 2, Broken: 1}} {
		require.NoError(t, tell(report))
		card, err := scorecard.ReadFile(filepath.Join(dir.path, scorecard.CardFile))
		require.NoError(t, err)
		require.Len(t, card.Checks, 1)
		assert.Equal(t, report.Broken > 0, card.Checks[0].Verdict == scorecard.Broken, "%+v", card.Checks[0])
	}
}
