// SPDX-License-Identifier: Apache-2.0

// Package doctor says what this machine lacks for the rig, what that costs, and what
// to do about it.
//
// It looks twice. Signs (signs.go) are what can be read without a sandbox: the kernel's
// release, capabilities, sysctls, limits. Probes (probes.go) each use one feature in a
// small lab in a sandbox. A probe counts more than a sign: where a host and a process work,
// no sign can say that nothing runs. Facts (facts.go) are what the kernel does to every server,
// and a verdict should not blame a server for.
//
// [Main] is called in two processes, as every function is that calls [rig.Sandboxed]: the
// first reads the signs and hands them to the second in [signsEnv]. The second, in the
// sandbox, tries the probes and prints everything. Where the sandbox does not start, the
// first prints the signs and why.
package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"forkrig/rig"
)

// finding is what was found out in one respect.
type finding struct {
	Name  string // of the feature, the capability or the sysctl
	State state
	// Detail says what was seen. Costs says what does not work because of it: checks,
	// faults, flags. Remedy says what to do. The last two are "" where State is works.
	Detail, Costs, Remedy string
	// Essential says that nothing runs where this is missing, and that this may be why
	// where it is limited and nothing runs.
	Essential bool
}

// state says how a machine does in one respect.
type state string

const (
	missing state = "missing" // it is not there
	limited state = "limited" // it is there in part, or is likely to cause trouble
	unknown state = "unknown" // it could not be found out
	works   state = "works"
)

// states are all of them, the worst first, each with its colour on a terminal (ECMA-48, SGR).
var states = []struct {
	state
	colour string
}{{missing, "\x1b[31m"}, {limited, "\x1b[33m"}, {unknown, "\x1b[35m"}, {works, "\x1b[32m"}}

// nothingRuns is the cost of what is essential and missing.
const nothingRuns = "no check, no search and no scenario can run"

// working says whether f works. If it does, nothing is to be said about it but its detail.
func (f finding) working(fine bool) finding {
	if fine {
		f.State, f.Costs, f.Remedy = works, "", ""
	}
	return f
}

// runs says whether the rig can run at all: nothing essential is missing.
func runs(findings []finding) bool {
	return !slices.ContainsFunc(findings, func(f finding) bool { return f.Essential && f.State == missing })
}

// signsEnv hands the signs to the process in the sandbox, as JSON.
const signsEnv = "FORKRIG_DOCTOR_SIGNS"

// The exit statuses of [Main].
const (
	exitRuns    = 0
	exitRunsNot = 3
)

// Main finds out what the machine lacks, prints it to out, and returns the exit status
// of the program: 0 where the rig can run, 3 where it cannot or where out cannot be written
// to. With colour it prints for a terminal. The program comes to Main by its arguments
// alone, and has called [rig.Dispatch] with [Program] as [ProgramName] and inject.Shim as
// "inject".
func Main(out io.Writer, colour bool) int {
	var seen []finding
	show := func(found ...finding) int {
		all := joined(seen, found)
		if _, err := out.Write(text(all, colour)); err != nil || !runs(all) {
			return exitRunsNot
		}
		return exitRuns
	}
	if json.Unmarshal([]byte(os.Getenv(signsEnv)), &seen) != nil {
		seen = signs()
		handed, _ := json.Marshal(seen)         // strings and a flag can be written
		_ = os.Setenv(signsEnv, string(handed)) // JSON has no zero byte
	}
	status, err := rig.Sandboxed(func() int {
		found := []finding{{Name: "sandbox", State: works, Detail: "it starts", Essential: true}}
		outcome := rig.Run(context.Background(), "doctor", func(tb rig.TB) {
			tryAll(tb, func(f finding) { found = append(found, f) })
		})
		if outcome.Failed {
			found[0] = finding{Name: "sandbox", State: limited, Detail: firstLine(outcome.Log), Costs: "features may not have been tried",
				Remedy: "run forkrig doctor again; if it happens again, report it with this output"}
		}
		return show(found...)
	})
	if err != nil {
		return show(finding{Name: "sandbox", State: missing, Detail: "it does not start: " + err.Error(), Essential: true,
			Costs: nothingRuns, Remedy: "do what the message says"})
	}
	return status
}

// joined joins the signs with what was tried. Where the sandbox, the first of that,
// does not start, its remedy names the signs why.
func joined(signs, found []finding) []finding {
	signs, found = slices.Clone(signs), slices.Clone(found)
	names := map[state][]string{}
	for i, f := range signs {
		if !f.Essential {
			continue
		}
		names[f.State] = append(names[f.State], f.Name)
		if f.State == missing && runs(found) {
			signs[i] = f.working(true)
			signs[i].Detail += "; the sandbox starts all the same"
		}
	}
	if sandbox := &found[0]; sandbox.State == missing {
		switch {
		case names[missing] != nil:
			sandbox.Remedy = "see the remedy of " + strings.Join(names[missing], " and of ")
		case names[limited] != nil:
			sandbox.Remedy += ", and see the remedy of " + strings.Join(names[limited], " and of ")
		}
	}
	return append(signs, found...)
}

// columns is the width of what [Main] prints, in characters.
const columns = 100

// text is the findings, the worst first and otherwise in their order, and then whether the
// rig can run. No line is longer than columns, unless it is one long word.
func text(findings []finding, colour bool) []byte {
	var out bytes.Buffer
	var counts []string
	const indent = 9
	for _, s := range states {
		count := 0
		for _, f := range findings {
			if f.State != s.state {
				continue
			}
			count++
			word := fmt.Sprintf("%-*s", indent, s.state)
			if colour {
				word = s.colour + word + "\x1b[0m"
			}
			out.WriteString(word)
			wrap(&out, indent, f.Name+": "+f.Detail)
			for _, part := range []struct{ label, text string }{{"costs:  ", f.Costs}, {"remedy: ", f.Remedy}} {
				if part.text != "" {
					fmt.Fprintf(&out, "%*s%s", indent, "", part.label)
					wrap(&out, indent+len(part.label), part.text)
				}
			}
		}
		if count > 0 && s.state != works {
			counts = append(counts, fmt.Sprintf("%d %s", count, s.state))
		}
	}
	switch rest := strings.Join(counts, ", "); {
	case !runs(findings):
		fmt.Fprintf(&out, "\nforkrig cannot run here: %s.\n", rest)
	case rest == "":
		out.WriteString("\nforkrig runs here, and nothing is missing.\n")
	default:
		fmt.Fprintf(&out, "\nforkrig runs here: %s.\n", rest)
	}
	return out.Bytes()
}

// wrap writes text in lines that are broken between words, each of them indented but the
// first. What a terminal would obey is replaced: text comes from the kernel and from other
// programs, too.
func wrap(out *bytes.Buffer, indent int, text string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return '?'
		}
		return r
	}, text)
	column, between := indent, ""
	for _, word := range strings.Fields(text) {
		length := utf8.RuneCountInString(word)
		if column+len(between)+length > columns && between != "" {
			column, between = indent, "\n"+strings.Repeat(" ", indent)
		} else {
			column += len(between)
		}
		out.WriteString(between + word)
		column, between = column+length, " "
	}
	out.WriteByte('\n')
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
