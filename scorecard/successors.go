// SPDX-License-Identifier: Apache-2.0

package scorecard

// Successors returns the names of the checks that have taken the place of a check that was
// divided, nil where the name is not that of one.
func Successors(name string) []string {
	if name == "accept-errors" {
		return []string{"accept-aborted", "accept-emfile", "accept-short"}
	}
	return nil
}
