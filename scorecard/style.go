// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"os"

	"golang.org/x/term"
)

// Style is how a card is written for a person. The zero value is that of a file: no
// colours, and lines that stand alone are whole.
type Style struct {
	Colour  bool // with ANSI escape sequences
	Columns int  // to which lines are cut; 0 cuts none, and a card has 80 columns
	Full    bool // details of a card have all evidence, and no line of them is cut
}

// StyleOf returns the style that fits f. Only on a terminal lines are cut to its width, and
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

// screen is how many columns a card has.
func (s Style) screen() int {
	if s.Columns == 0 {
		return screenColumns
	}
	return min(s.Columns, maxColumns)
}

// rest cuts the last text of a row, which begins after the given columns.
func (s Style) rest(text string, after int) string {
	if s.Columns == 0 {
		return text
	}
	return cut(text, max(s.Columns-after, remarkColumns))
}
