// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"os"

	"golang.org/x/term"
)

// Style is how a card is written for a person. The zero value is that of a file: no
// colours, and every row whole.
type Style struct {
	Colour  bool // with ANSI escape sequences
	Columns int  // to which the rows of a table are cut; 0 cuts none
}

// StyleOf returns the style that fits f. Only on a terminal rows are cut to its width, and
// there are colours, unless the user has set NO_COLOR (see no-color.org; an empty value
// does not count) or TERM is "dumb". A nil f is not a terminal.
func StyleOf(f *os.File) Style {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return Style{}
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 100
	}
	return Style{Colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", Columns: max(columns, 60)}
}

// rest cuts the last text of a row, which begins after the given columns.
func (s Style) rest(text string, after int) string {
	if s.Columns == 0 {
		return text
	}
	return cut(text, max(s.Columns-after, remarkColumns))
}
