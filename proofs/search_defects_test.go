// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/search"
	"forkrig/server/forkserver"
)

// provedBySearch are the defects that no check was written for: they show only
// where several things come together. From its seed each is found within so many
// stories; the seeds are such that it does not take long (make search-matrix has others).
var provedBySearch = map[string]struct {
	seed    uint64
	stories int
}{
	"count-killed":             {3000, 150},
	"no-reap-after-shortage":   {1000, 150},
	"leak-gone-after-shortage": {2000, 150},
	"end-beats-reply":          {1000, 150},
	"drain-for-one":            {5068, 150},
}

// TestDefectsFoundBySearch sees the search find each of them, with -short the first.
func TestDefectsFoundBySearch(t *testing.T) {
	t.Parallel()
	defects := slices.Sorted(maps.Keys(provedBySearch))
	for _, defect := range defects[:fewer(len(defects), 1)] {
		proof := provedBySearch[defect]
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			setup := cli.Limited("-defect", defect)
			s := search.Search{Subject: setup.Subject, Families: examined(t, setup, rig.IPv4), Seed: proof.seed, Schedules: proof.stories,
				First: true, AtOnce: 2}
			report := s.Run(t)
			if assert.Positive(t, report.Found, "not found in %d stories; errors: %v", report.Schedules, report.Errors) {
				t.Logf("after %d stories\n%v", report.Found, report.Stories[0])
			}
		})
	}
}

var searchMatrixFlag = flag.Int("search-matrix", 0, "search for every defect from this many `seeds`, and print after how many stories it was found (make search-matrix)")

// TestSearchMatrix searches for every defect and prints after how many stories it was
// found. It takes minutes.
func TestSearchMatrix(t *testing.T) {
	if *searchMatrixFlag == 0 {
		t.Skip("make search-matrix runs it; TestDefectsFoundBySearch runs the part that must be found")
	}
	var mu sync.Mutex
	rows := map[string]string{}
	t.Cleanup(func() {
		out := rig.Announce()
		fmt.Fprintf(out, "| defect | stories until found: median (least to most of %d searches) | what it was found by |\n|---|---|---|\n", *searchMatrixFlag)
		for _, defect := range forkserver.Defects() {
			fmt.Fprintln(out, rows[defect.String()])
		}
	})
	const most = 100
	for _, defect := range forkserver.Defects() {
		t.Run(defect.String(), func(t *testing.T) {
			t.Parallel()
			setup := cli.Limited("-defect", defect.String())
			row := func(found, by string) {
				mu.Lock()
				defer mu.Unlock()
				rows[defect.String()] = fmt.Sprintf("| `%s` | %s | %s |", defect, found, by)
				fmt.Fprintf(os.Stderr, "%d of %d: %s\n", len(rows), len(forkserver.Defects()), rows[defect.String()])
			}
			traits, err := search.Examine(t, setup.Subject, rig.IPv4)
			if err != nil {
				row("at once", "a single client: "+strings.Join(strings.Fields(err.Error()), " "))
				return
			}
			traits.AtOnce = setup.AtOnce
			var found []int
			by := map[string]int{}
			for n := range *searchMatrixFlag {
				s := search.Search{Subject: setup.Subject, Families: map[rig.Family]search.Traits{rig.IPv4: traits},
					Seed: uint64(1_000_000 * (n + 1)), Schedules: most, First: true, AtOnce: 2}
				report := s.Run(t)
				found = append(found, cmp.Or(report.Found, most+1))
				if report.Found > 0 {
					by[report.Stories[0].Observed]++
				} else if n == 0 {
					break // and not in the others
				}
			}
			slices.Sort(found)
			text := func(n int) string {
				if n > most {
					return fmt.Sprintf("more than %d", most)
				}
				return fmt.Sprint(n)
			}
			if found[0] > most {
				row("not found in "+fmt.Sprint(most), "")
				return
			}
			var causes []string
			for cause := range by {
				causes = append(causes, cause)
			}
			slices.Sort(causes)
			row(fmt.Sprintf("%s (%s to %s)", text(found[len(found)/2]), text(found[0]), text(found[len(found)-1])), strings.ReplaceAll(causes[0], "|", "\\|"))
		})
	}
}
