// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns is the width of what [Write] prints, in characters.
const columns = 100

// Colours of a terminal (ECMA-48, SGR).
var stateColours = map[State]string{Missing: "\x1b[31m", Limited: "\x1b[33m", Unknown: "\x1b[35m", Works: "\x1b[32m"}

const colourOff = "\x1b[0m"

// Write prints the findings, the worst first and otherwise in their order, and then
// whether the rig can run. No line is longer than 100 characters, unless it is one
// long word. With colour the state is coloured for a terminal.
func Write(w io.Writer, findings []Finding, colour bool) error {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int { return int(a.State) - int(b.State) })
	var out bytes.Buffer
	count := map[State]int{}
	for _, f := range sorted {
		count[f.State]++
		state := fmt.Sprintf("%-9s", f.State)
		if colour {
			state = stateColours[f.State] + state + colourOff
		}
		const indent = 9
		out.WriteString(state)
		wrap(&out, indent, "", f.Name+": "+f.Detail)
		for _, part := range []struct{ label, text string }{{"costs:  ", f.Costs}, {"remedy: ", f.Remedy}} {
			if part.text != "" {
				out.WriteString(strings.Repeat(" ", indent))
				wrap(&out, indent, part.label, part.text)
			}
		}
	}
	fmt.Fprintf(&out, "\n%s\n", summary(Runs(findings), count))
	_, err := w.Write(out.Bytes())
	return err
}

func summary(runs bool, count map[State]int) string {
	var parts []string
	for _, s := range []State{Missing, Limited, Unknown} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	switch rest := strings.Join(parts, ", "); {
	case !runs:
		return "forkrig cannot run here: " + rest + "."
	case rest == "":
		return "forkrig runs here, and nothing is missing."
	default:
		return "forkrig runs here: " + rest + "."
	}
}

// wrap writes label and text. It breaks lines between words, and begins each further
// one below the text.
func wrap(out *bytes.Buffer, indent int, label, text string) {
	out.WriteString(label)
	indent += len(label)
	column := indent
	for i, word := range strings.Fields(printable(text)) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > columns:
			out.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += length
	}
	out.WriteByte('\n')
}

// printable replaces what a terminal would obey: text comes from the kernel and from
// other programs, too.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return '?'
		}
		return r
	}, text)
}
