// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestPacketsNameOnlyWhoCanHaveSentThem: process 1 has the children 2 and 3, and 3 ends at 50.
func TestPacketsNameOnlyWhoCanHaveSentThem(t *testing.T) {
	for name, v := range map[string]struct {
		holders []int
		at      time.Duration
		want    int
	}{
		"a worker and its parent":    {[]int{3, 1}, 30, 3},
		"two workers":                {[]int{1, 2, 3}, 30, 0},
		"a worker that is not there": {[]int{3}, 10, 0},
		"a worker that has ended":    {[]int{3}, 60, 0},
		"seen again":                 {[]int{2, 2}, 60, 2},
		"no process":                 {nil, 30, 0},
	} {
		r := Recording{
			Processes: []Process{{ID: 1}, {ID: 2, Parent: 1, Began: 10}, {ID: 3, Parent: 1, Began: 20, Ended: 50}},
			Events:    []Event{{ID: 1, At: v.at, Connection: 1, Packet: &Packet{Side: serverSide}}},
		}
		o := owners{sides: map[uint64]side{7: {1, serverSide}}, held: map[uint64][]int{7: v.holders}}
		o.name(&r)
		assert.Equal(t, v.want, r.Events[0].Process, name)
	}
}
