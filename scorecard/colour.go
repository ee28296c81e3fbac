// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"os"

	"golang.org/x/term"
)

// Colour tells whether to write colours to f: it is a terminal, the user has not
// set NO_COLOR (see no-color.org; an empty value does not count), and TERM is not
// "dumb". A nil f is not a terminal.
func Colour(f *os.File) bool {
	return f != nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
