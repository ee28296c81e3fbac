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

// WriteMarkdown writes what the kernels are, and the rows in which they differ. command returns the
// command that asks again, with arguments that say what and which kernel. The tables are aligned, so
// that they are read without a viewer, too.
func (t Table) WriteMarkdown(w io.Writer, command func(args ...string) string) error {
	var b strings.Builder
	t.writeKernels(&b)
	probes, same := t.Probes()
	t.writeRows(&b, section{"Probes", "probe", "probes answer the same on all kernels", ""}, probes, same, same+len(probes), command)
	binds, same := t.Binds()
	t.writeRows(&b, section{"Bind table", "first socket, second socket", "rows of the bind table are the same on all kernels",
		"The four groups are for no option, SO_REUSEADDR, SO_REUSEPORT and both on the first socket; in each, one letter\n" +
			"for these on the second socket says whether it may bind and listen: docs/kernels.md explains the letters."}, binds, same, same+len(binds), command)
	tests, same, packages := t.Tests()
	t.writeRows(&b, section{"Tests", "package, test", "packages pass on all kernels", ""}, tests, same, packages, command)
	t.writeOutput(&b)
	checks, same := t.Checks()
	t.writeRows(&b, section{"Checks", "check", "checks end the same on all kernels, and do not fail", ""}, checks, same, same+len(checks), command)
	_, err := io.WriteString(w, b.String())
	return err
}

// section is what a part of the text says beside its rows.
type section struct{ title, question, are, legend string }

func (t Table) writeKernels(b *strings.Builder) {
	rows := [][]string{{"kernel", "release", "booted by", "first job after", "all after", "tests", "checks"}}
	seconds := func(ms int64) string {
		return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
	}
	for _, c := range t.Kernels {
		card := Nothing
		if c.Card != nil {
			card = c.Card.Counts().String()
		}
		rows = append(rows, []string{c.Name(), c.Release, c.Booted, seconds(c.Boot), seconds(c.Wall), c.testCounts(), card})
	}
	if !slices.ContainsFunc(t.Kernels, func(c Column) bool { return len(c.Tests) > 0 }) {
		const tests = 5
		for i := range rows {
			rows[i] = slices.Delete(rows[i], tests, tests+1)
		}
	}
	writeTable(b, rows)
	for _, c := range t.Kernels {
		for _, note := range c.Notes {
			fmt.Fprintf(b, "\n%s\n", oneLine(c.Name()+": "+note))
		}
		if c.Lost == "" {
			continue
		}
		fmt.Fprintf(b, "\n%s\n", oneLine(c.outcome()))
		writeLines(b, c.Console)
	}
}

// writeOutput writes what the tests of a package that failed printed.
func (t Table) writeOutput(b *strings.Builder) {
	const shown = 40 // of each package on each kernel
	for _, c := range t.Kernels {
		for _, run := range c.Tests {
			if len(run.Output) == 0 {
				continue
			}
			lines := run.Output[:min(len(run.Output), shown)]
			if more := len(run.Output) - len(lines); more > 0 {
				lines = append(slices.Clone(lines), fmt.Sprintf("… %d more lines are in the file of -json", more))
			}
			fmt.Fprintf(b, "\n%s\n", oneLine(fmt.Sprintf("%s printed on %s:", run.Name, c.Name())))
			writeLines(b, lines)
		}
	}
}

// writeLines writes lines of a program as they are.
func writeLines(b *strings.Builder, lines []string) {
	if len(lines) > 0 {
		b.WriteByte('\n') // without it they would be a part of the paragraph
	}
	for _, line := range lines {
		b.WriteString(strings.TrimRight("    "+oneLine(line), " ") + "\n")
	}
}

// oneLine returns a text that changes neither a terminal nor the lines around it.
func oneLine(text string) string {
	return scorecard.Printable(strings.ReplaceAll(text, "\n", " "))
}

// writeRows writes a section where something was asked.
func (t Table) writeRows(b *strings.Builder, s section, rows []Row, same, all int, command func(...string) string) {
	if all == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n", s.title)
	if len(t.Kernels) > 1 {
		fmt.Fprintf(b, "\n%d of %d %s.\n", same, all, s.are)
	}
	if len(rows) == 0 {
		return
	}
	table := [][]string{{s.question}}
	for _, c := range t.Kernels {
		table[0] = append(table[0], c.Name())
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
	if s.legend != "" {
		fmt.Fprintf(b, "\n%s\n", s.legend)
	}
	if odd {
		b.WriteString("\n! this answer does not fit the release: the kernel has a change that its number should lack, or lacks one that it should have.\n")
	}
	var sources []string
	for _, row := range rows {
		if row.Source != "" {
			id, _, _ := strings.Cut(row.Name, " ")
			sources = append(sources, oneLine(fmt.Sprintf("- %s: %s", id, row.Source)))
		}
	}
	if len(sources) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(sources, "\n"))
	}
	again := append([]string{"-on", t.Kernels[0].path()}, rows[0].Repeat...)
	fmt.Fprintf(b, "\nTo test one cell again, such as the first: `%s`\n", oneLine(command(again...)))
}

// writeTable writes a table of Markdown whose columns are aligned.
func writeTable(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(oneLine(cell), "|", `\|`)
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
