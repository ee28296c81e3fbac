// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// GitHub refuses a step summary above 1 MiB; a little room is left for the
// caller's own lines.
const summaryBytes = 1000 << 10

// markdownStart is how the Markdown of a card begins.
const markdownStart = "## Scorecard of "

// WriteMarkdown writes the card as GitHub Flavored Markdown: a heading, the causes, a table
// of the checks, and for what failed, is broken or warns a section with all that is said of it;
// what follows from a cause has its section below the first one of that cause. Texts are shown
// as they are, never interpreted as Markdown or HTML.
// What is written stays below the 1 MiB that GitHub takes as a step summary: long lines and
// the middle of long sections are left out and counted.
func (c Card) WriteMarkdown(w io.Writer) error { return c.WriteMarkdownWithin(w, summaryBytes) }

// WriteMarkdownWithin is WriteMarkdown with at most so many bytes. Where not even the heading has room, it
// writes nothing.
func (c Card) WriteMarkdownWithin(w io.Writer, most int) error {
	var text []byte
	for limit := min(64<<10, most/(len(c.Checks)+1)); ; limit = limit * 3 / 4 {
		if limit < 100 { // nothing that is worth reading fits
			limit = 0
		}
		if text = c.markdown(limit); len(text) <= most || limit == 0 {
			break
		}
	}
	if len(text) > most { // thousands of checks, or little room
		const note = 64 // for what is left out
		end := bytes.LastIndexByte(text[:max(most-note, 0)], '\n')
		if end < 0 {
			return nil
		}
		text = fmt.Appendf(text[:end:end], "\n\n… (%d bytes left out)\n", len(text)-end)
	}
	_, err := w.Write(text)
	return err
}

// markdown renders with at most about limit bytes in each section.
func (c Card) markdown(limit int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, markdownStart+"%s\n\n", codeSpan(shorten(printable(c.Subject), 1<<10)))
	b.WriteString(prose(c.Origin()))
	fmt.Fprintf(&b, ": **%s**\n", prose(c.Summary(false)))
	if len(c.Causes) > 0 {
		b.WriteString("\n")
	}
	for _, cause := range c.Causes {
		fmt.Fprintf(&b, "- %s\n", prose(cut(cause.String(), 600)))
	}

	columns := families(c.Checks)
	rows := c.rows()
	if len(rows) > 0 {
		b.WriteString("\n| check |")
		for _, family := range columns {
			fmt.Fprintf(&b, " %s |", prose(cut(oneLine(family), 40)))
		}
		fmt.Fprintf(&b, " cause, remedy, or what was observed |\n|---|%s---|\n", strings.Repeat("---|", len(columns)))
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", prose(cut(oneLine(row[0].Name), 100)))
		for _, family := range columns {
			v := row.in(family)
			if v.wrong() {
				v = "**" + v + "**"
			}
			fmt.Fprintf(&b, " %s |", v)
		}
		fmt.Fprintf(&b, " %s |\n", prose(cut(row.remark(Result.explanation), 300)))
	}

	for _, one := range c.consequences(false) {
		for i, f := range one.findings {
			fmt.Fprintf(&b, "\n### %s\n\n", prose(cut(f.title(), 200)))
			if i > 0 {
				fmt.Fprintf(&b, "See cause %d: %s\n", one.ID, prose(cut(oneLine(f.Observed), 300)))
				continue
			}
			paragraph := f.paragraph()
			for i, line := range paragraph {
				paragraph[i] = shorten(line, limit/4)
			}
			b.WriteString(codeBlock(excerpt(paragraph, limit)))
		}
	}
	c.writeRuns(&b)
	return b.Bytes()
}

// shownRuns is how many runs of a merged card are listed in Markdown.
const shownRuns = 200

func (c Card) writeRuns(b *bytes.Buffer) {
	if len(c.Runs) == 0 {
		return
	}
	b.WriteString("\n### Runs\n\n| shard | seed | kernel | machine |\n|---|---|---|---|\n")
	cell := func(s string) string { return prose(cut(oneLine(s), 100)) }
	for _, r := range c.Runs[:min(len(c.Runs), shownRuns)] {
		shard := ""
		if r.Shard != (Shard{}) {
			shard = r.Shard.String()
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s |\n", shard, r.Seed, cell(r.Kernel), cell(r.Machine))
	}
	if more := len(c.Runs) - shownRuns; more > 0 {
		fmt.Fprintf(b, "\n… (%d runs left out)\n", more)
	}
}

// prose escapes printable text for a place within a line or a table's cell. A
// pipe becomes an entity, since a table is split at pipes before anything else
// is looked at.
var prose = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;",
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "$", `\$`,
).Replace

// codeSpan returns one printable line as code, in more backticks than it has
// side by side. It is not for a table's cell.
func codeSpan(line string) string {
	if line == "" {
		return "(none)"
	}
	ticks := strings.Repeat("`", longestRun(line)+1)
	if strings.Trim(line, " `") != line {
		line = " " + line + " " // a renderer takes these two blanks away again
	}
	return ticks + line + ticks
}

// codeBlock returns printable lines between fences that are longer than any run
// of backticks within.
func codeBlock(lines []string) string {
	text := strings.Join(lines, "\n")
	fence := strings.Repeat("`", max(longestRun(text)+1, 3))
	return fence + "text\n" + text + "\n" + fence + "\n"
}

func longestRun(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
