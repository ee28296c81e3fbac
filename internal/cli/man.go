// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v3"

	"forkrig/checks"
	"forkrig/rig"
)

// man prints the manual page of all subcommands, for packages.
func (p *program) man() *cli.Command {
	c := p.plain("man", "print the manual page", "", 0, 0, func([]string) (int, error) {
		var commit string // its date
		if info, ok := debug.ReadBuildInfo(); ok {
			commit, _, _ = strings.Cut(buildSettings(info)["vcs.time"], "T")
		}
		fmt.Fprint(p.out, manual(p.command(), commit))
		return statusRight, nil
	})
	c.Description = "forkrig man | man -l -"
	return c
}

// manual is the page in the language of man(7). The date is "" where it is not known: then the page
// has that of the format's first edition, because a page without one is a warning.
func manual(root *cli.Command, date string) string {
	page := &roff{}
	// A date is read as it stands.
	fmt.Fprintf(page, ".TH \"FORKRIG\" \"1\" %q \"%s\" \"User Commands\"\n", cmp.Or(date, "1970-01-01"), strings.TrimSpace("forkrig "+escapeRoff(release)))
	page.line(".SH", "NAME")
	page.text(root.Name + " - " + root.Usage)
	page.line(".SH", "SYNOPSIS")
	commands := defined(root)
	for i, d := range commands {
		for j, synopsis := range d.synopses {
			if i+j > 0 {
				page.line(".br")
			}
			page.text(synopsis)
		}
	}
	page.line(".SH", "DESCRIPTION")
	page.text(root.Description)
	page.line(".SH", "COMMANDS")
	for _, d := range commands {
		page.line(".SS", "forkrig "+d.name)
		page.text(capitalised(d.usage) + ".")
		if d.name == "completion" || d.name == "man" {
			page.example(strings.Split(d.description, "\n"))
		} else if d.description != "" {
			page.line(".PP")
			page.text(d.description)
		}
		page.example(d.examples)
		for _, f := range d.flags {
			page.line(".TP")
			page.bold(strings.TrimSpace("-" + f.name + " " + f.placeholder))
			usage := f.usage
			if f.shown != "" {
				usage += " (default: " + f.shown + ")"
			}
			page.text(usage)
		}
	}
	page.line(".SH", "CHECKS")
	for _, check := range checks.All() {
		page.line(".TP")
		page.bold(check.Name)
		page.text(check.Meaning)
	}
	page.line(".SH", "EXIT STATUS")
	for _, s := range []struct{ status, meaning string }{
		{"0", "right"},
		{"1", "a check failed or is broken, or warned with -strict; or something became worse (diff, -baseline)"},
		{"2", "the command line is wrong"},
		{"3", "no check began, because the rig could not run or the server did not start, or the result could not be printed"},
	} {
		page.line(".TP")
		page.bold(s.status)
		page.text(s.meaning)
	}
	page.line(".SH", "ENVIRONMENT")
	for _, variable := range environment {
		page.line(".TP")
		page.bold(variable.name)
		page.text(variable.meaning)
	}
	page.line(".SH", "SEE ALSO")
	page.text("namespaces(7), tcp(7), signal(7), sock_diag(7)")
	return page.String()
}

// environment are the variables that a user may set.
var environment = []struct{ name, meaning string }{
	{rig.SeedEnv, "repeats a run: all random choices follow from this number, which a failure prints"},
	{rig.TimeScaleEnv, "makes every deadline so many times longer, from 1 to 1000"},
	{"FORKRIG_WATCHDOG", "after what time a lab in which nothing happens is reported, such as 30s"},
	{rig.RequireEnv, "features whose lack fails a check instead of skipping it: ipv6,users, or all, or all,-netem"},
	{subjectEnv, "the subject, as -subject takes it"},
	{"FORKRIG_SHARD", "the shard of a search, as -shard takes it: 0/4"},
	{"GITHUB_STEP_SUMMARY", "the file to which judge appends the card as Markdown"},
}

func capitalised(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// roff is a page in the making.
type roff struct{ strings.Builder }

// line adds a request with its arguments. Each argument is one word.
func (r *roff) line(request string, args ...string) {
	r.WriteString(request)
	for _, arg := range args {
		r.WriteString(` "` + strings.ReplaceAll(escapeRoff(arg), `"`, `\(dq`) + `"`)
	}
	r.WriteString("\n")
}

// text adds a paragraph.
func (r *roff) text(text string) { r.WriteString(escapeRoff(text) + "\n") }

func (r *roff) bold(text string) { r.WriteString(`\fB` + escapeRoff(text) + "\\fR\n") }

// example adds lines that are shown as they stand.
func (r *roff) example(lines []string) {
	if len(lines) == 0 {
		return
	}
	r.line(".PP")
	r.line(".nf")
	for _, line := range lines {
		r.WriteString(`    ` + escapeRoff(line) + "\n")
	}
	r.line(".fi")
}

// escapeRoff is a text in which nothing is a request or an escape. Its lines stay lines; those that
// are empty, which are an extra space in a paragraph, are left out. ASCII is what every
// typesetter reads: see groff_char(7).
func escapeRoff(text string) string {
	escape := strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, "…", `\&...`, "→", `\(->`, "\t", " ", "\r", " ")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = escape.Replace(line); strings.TrimSpace(line) == "" {
			continue
		}
		if strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
