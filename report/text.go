// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"unicode/utf8"

	"forkrig/scorecard"
)

// How many bytes of a text are shown.
const (
	maxName = 200  // of a host, a process, an address
	maxText = 4000 // of an event, a line of output, an item of a card
)

// clean returns a text of unknown origin as it may be shown: every character that is not printable
// is spelled out, such as \x1b, and what exceeds the limit in bytes is left out, with words that
// say how much.
func clean(s string, limit int) string {
	for n := min(len(s), limit); ; n = n * 3 / 4 { // what is spelled out is longer
		head := s[:n]
		for i := 0; n < len(s) && i < utf8.UTFMax && len(head) > 0 && !utf8.RuneStart(s[len(head)]); i++ {
			head = head[:len(head)-1]
		}
		shown := scorecard.Printable(head)
		switch {
		case len(shown) > limit && n > 0:
		case len(head) < len(s):
			return fmt.Sprintf("%s… (%d bytes left out)", shown, len(s)-len(head))
		default:
			return shown
		}
	}
}

// cleanAll cleans each text of a list, and leaves out the first ones where there are more than most.
func cleanAll(list []string, limit, most int) []string {
	var all []string
	if left := len(list) - most; left > 0 {
		all, list = append(all, fmt.Sprintf("… (%s left out)", scorecard.Counted(left, "line", "lines"))), list[left:]
	}
	for _, s := range list {
		all = append(all, clean(s, limit))
	}
	return all
}
