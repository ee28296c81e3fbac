// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"forkrig/report"
)

// markdownTables returns the tables of a text in Markdown, each with the heading above it.
func markdownTables(text string) []report.Table {
	var tables []report.Table
	heading, inside := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && strings.HasPrefix(line, "#") {
			heading = title
		}
		cells := markdownCells(line)
		switch {
		case cells == nil:
		case !inside:
			tables = append(tables, report.Table{Title: heading, Rows: [][]string{cells}})
		case strings.Trim(line, "|-: ") != "": // not the line below the headings
			table := &tables[len(tables)-1]
			table.Rows = append(table.Rows, cells)
		}
		inside = cells != nil
	}
	return tables
}

// markdownCells are the cells of a row, nil where the line is none.
func markdownCells(line string) []string {
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil
	}
	const pipe = "\x00" // which no line has
	var cells []string
	for cell := range strings.SplitSeq(strings.ReplaceAll(line[1:len(line)-1], `\|`, pipe), "|") {
		cell = strings.ReplaceAll(strings.TrimSpace(cell), pipe, "|")
		cells = append(cells, strings.NewReplacer("`", "", "**", "").Replace(cell))
	}
	return cells
}
