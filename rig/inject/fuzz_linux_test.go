// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"encoding/json"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzOrder: an order of the rig that can be read gives a filter whose jumps all
// lead to an instruction behind them.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"Path":"/bin/true","Calls":[1,2,3],"Ignored":4}`), uint64(7))
	f.Add([]byte(`{"Calls":[-1,2147483647]}`), ^uint64(0))
	f.Add([]byte(`{}`), uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, pass uint64) {
		var o order
		if json.Unmarshal(text, &o) != nil {
			return
		}
		filter, err := newFilter(o.Calls, pass)
		if err != nil || len(filter) != 2*len(o.Calls)+11 {
			t.Fatalf("%d instructions for %d calls: %v", len(filter), len(o.Calls), err)
		}
		for i, instruction := range filter {
			far := -1
			switch instruction.Code & 0xff {
			case unix.BPF_JMP | unix.BPF_JA:
				far = int(instruction.K)
			case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
				far = int(max(instruction.Jt, instruction.Jf))
			}
			if far >= 0 && i+1+far >= len(filter) {
				t.Errorf("instruction %d jumps %d further, out of %d", i, far, len(filter))
			}
		}
		if last := filter[len(filter)-1]; last.Code != unix.BPF_RET|unix.BPF_K {
			t.Errorf("the filter ends with %+v", last)
		}
	})
}
