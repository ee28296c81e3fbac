// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"strings"
)

// selected returns the members of list that keep says yes to, or nil.
func selected[S ~[]T, T any](list S, keep func(T) bool) S {
	var kept S
	for _, member := range list {
		if keep(member) {
			kept = append(kept, member)
		}
	}
	return kept
}

// listed returns the first members of list as text, or none where it is empty.
func listed[S ~[]T, T fmt.Stringer](list S, none string) string {
	if len(list) == 0 {
		return none
	}
	const most = 10
	var parts []string
	for _, member := range list[:min(most, len(list))] {
		parts = append(parts, member.String())
	}
	if left := len(list) - most; left > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(parts, "; ")
}
