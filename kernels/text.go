// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"forkrig/scorecard"
)

// WriteMarkdown writes what the kernels are, and the rows in which they differ. command is the
// begin of the command that repeats a row. The tables are aligned, so that they are read without a
// viewer, too.
func (t Table) WriteMarkdown(w io.Writer, command string) error {
	var b strings.Builder
	t.writeKernels(&b)
	probes, same := t.Probes()
	t.writeRows(&b, "Probes", "probe", "probes answer", "probes", probes, same, command)
	binds, same := t.Binds()
	t.writeRows(&b, "Bind table", "first socket, second socket", "rows of the bind table are", "binds", binds, same, command)
	if len(binds) > 0 {
		b.WriteString("\nThe second socket is allowed to bind (and to listen): four groups, for no option, SO_REUSEADDR, SO_REUSEPORT and\n" +
			"both on the first socket; in each, one letter for these on the second. docs/kernels.md explains the letters.\n")
	}
	checks, same := t.Checks()
	t.writeRows(&b, "Checks", "check", "checks end", "card", checks, same, command)
	_, err := io.WriteString(w, b.String())
	return err
}

// Text is [Table.WriteMarkdown] as a string.
func (t Table) Text(command string) string {
	var b strings.Builder
	_ = t.WriteMarkdown(&b, command) // a builder has no error
	return b.String()
}

func (t Table) writeKernels(b *strings.Builder) {
	rows := [][]string{{"kernel", "release", "booted by", "first job after", "all after", "checks"}}
	seconds := func(ms int64) string {
		return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
	}
	for _, c := range t.Kernels {
		card := Nothing
		if c.Card != nil {
			card = c.Card.Counts().String()
		}
		rows = append(rows, []string{c.Kernel, c.Release, c.Booted, seconds(c.Boot), seconds(c.Wall), card})
	}
	writeTable(b, rows)
	for _, c := range t.Kernels {
		for _, note := range c.Notes {
			fmt.Fprintf(b, "\n%s: %s\n", c.Kernel, scorecard.Printable(note))
		}
		if c.Lost == "" {
			continue
		}
		fmt.Fprintf(b, "\n%s\n", scorecard.Printable(c.outcome()))
		for _, line := range c.Console {
			fmt.Fprintf(b, "    %s\n", scorecard.Printable(line))
		}
	}
}

// writeRows writes a section where something was asked.
func (t Table) writeRows(b *strings.Builder, title, what, are, job string, rows []Row, same int, command string) {
	if len(rows)+same == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n", title)
	if len(t.Kernels) > 1 {
		fmt.Fprintf(b, "\n%d of %d %s the same on all kernels.\n", same, same+len(rows), are)
	}
	if len(rows) == 0 {
		return
	}
	table := [][]string{{what}}
	for _, c := range t.Kernels {
		table[0] = append(table[0], c.Kernel)
	}
	odd := false
	for _, row := range rows {
		cells := []string{row.Name}
		for i, cell := range row.Cells {
			if row.Unexplained != nil && row.Unexplained[i] {
				cell += " !"
				odd = true
			}
			cells = append(cells, cell)
		}
		table = append(table, cells)
	}
	b.WriteByte('\n')
	writeTable(b, table)
	if odd {
		b.WriteString("\n! the release does not explain this answer: the kernel has, or lacks, a change against its number.\n")
	}
	var sources []string
	for _, row := range rows {
		if row.Source != "" {
			id, _, _ := strings.Cut(row.Name, " ")
			sources = append(sources, fmt.Sprintf("- %s: %s", id, row.Source))
		}
	}
	if len(sources) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(sources, "\n"))
	}
	repeat := "-jobs " + job
	if len(rows) > 0 && len(rows[0].Repeat) > 2 {
		repeat = strings.Join(rows[0].Repeat, " ")
	}
	first := t.Kernels[0].Kernel
	fmt.Fprintf(b, "\nA cell again, such as the first one: `%s -on %s %s`\n", command, first, repeat)
}

// writeTable writes a table of Markdown whose columns are aligned.
func writeTable(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(scorecard.Printable(cell), "|", `\|`)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	line := func(cells []string, pad string) {
		for i, cell := range cells {
			fmt.Fprintf(b, "| %s%s ", cell, strings.Repeat(pad, widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString("|\n")
	}
	line(rows[0], " ")
	line(slices.Repeat([]string{""}, len(widths)), "-")
	for _, row := range rows[1:] {
		line(row, " ")
	}
}
