// SPDX-License-Identifier: Apache-2.0

// Package doctor says what this machine lacks for the rig, what that costs, and what
// to do about it.
//
// It looks twice. Signs (signs.go) are what can be read without a sandbox: the kernel's
// release, capabilities, sysctls, limits. Probes (probes.go) each use one feature in a
// small lab in a sandbox. A probe counts more than a sign: where a host and a process
// work, no sign can say that nothing runs.
//
// # Two processes
//
// A sandbox that cannot start prints one error and ends with status 1. [Main] needs
// that error as a finding. So it starts this program again, with the same arguments
// and with [childEnv] in the environment, and reads the standard streams of the child:
//
//   - The first process reads the signs, starts the child and prints everything.
//   - The child comes to Main by the same arguments, sees the variable, and calls
//     [rig.Sandboxed]. In the sandbox it tries the probes and writes each finding at once,
//     as one line of JSON. It prints no sign.
//   - Where no line came, the sandbox did not start, and the standard error of the
//     child says why. Where the child failed later, what it found until then is kept.
//
// The first process kills the child after [childPatience] times [rig.Patience]. Should the
// first process die, the next line that the child writes ends it, and the sandbox with it.
package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
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

const (
	childEnv      = "FORKRIG_DOCTOR" // tells the child that it is one
	childPatience = 3                // times rig.Patience is how long the child may take
)

// The exit statuses of [Main].
const (
	exitRuns    = 0
	exitRunsNot = 3
)

// Main finds out what the machine lacks, prints it to out, and returns the exit status
// of the program: 0 where the rig can run, 3 where it cannot or where out cannot be written
// to. With colour it prints for a terminal. It starts this program again, with the same
// arguments, so the program must come to Main by them before it has an effect, and it has
// called [rig.Dispatch] with [Program] as [ProgramName] and inject.Shim as "inject".
func Main(out io.Writer, colour bool) int {
	if os.Getenv(childEnv) != "" {
		return childMain()
	}
	all := signs()
	if runtime.GOOS == "linux" {
		all = joined(all, askChild())
	}
	if _, err := out.Write(text(all, colour)); err != nil || !runs(all) {
		return exitRunsNot
	}
	return exitRuns
}

// childMain is Main of the child, before the sandbox and in it.
func childMain() int {
	status, err := rig.Sandboxed(func() int {
		lines := json.NewEncoder(os.Stdout)
		var failed error
		outcome := rig.Run(context.Background(), "doctor", func(tb rig.TB) {
			tryAll(tb, func(f finding) { failed = errors.Join(failed, lines.Encode(f)) })
		})
		if outcome.Failed {
			failed = errors.Join(failed, errors.New(firstLine(outcome.Log)))
		}
		if failed != nil {
			fmt.Fprintf(os.Stderr, "forkrig: %v\n", failed)
			return 1
		}
		return 0
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return 1
	}
	return status
}

// askChild starts the child and returns its findings, with one about the sandbox
// before them.
func askChild() []finding {
	ctx, cancel := context.WithTimeout(context.Background(), childPatience*rig.Patience())
	defer cancel()
	child := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), childEnv+"=yes")
	child.WaitDelay = 5 * time.Second // for the streams, which the sandbox's processes have, too
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	err := child.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer after %v", childPatience*rig.Patience())
	}
	return findingsOf(stdout.Bytes(), stderr.String(), err)
}

// findingsOf makes findings of what the child wrote and of how it ended.
func findingsOf(stdout []byte, stderr string, ended error) []finding {
	var found []finding
	for line := range bytes.Lines(stdout) {
		var f finding
		if json.Unmarshal(line, &f) == nil && f.Name != "" { // other lines are not ours
			found = append(found, f)
		}
	}
	said := strings.TrimSpace(stderr)
	if said == "" && ended != nil {
		said = ended.Error()
	}
	said = strings.ReplaceAll(strings.TrimPrefix(said, "forkrig: "), "\nforkrig: ", "; ")
	sandbox := finding{Name: "sandbox", Essential: true, State: limited, Detail: "it starts, and leaves nothing behind"}
	switch {
	case len(found) == 0:
		sandbox.State, sandbox.Detail = missing, "it does not start: "+said
		sandbox.Costs, sandbox.Remedy = nothingRuns, "do what the message says"
	case ended != nil:
		sandbox.Detail = "it did not end as it should: " + said
		sandbox.Costs = "features were not tried, or runs may end with status 1 although every check passed"
		sandbox.Remedy = "run forkrig doctor again; if it happens again, report it with this output"
	default:
		sandbox.State = works
	}
	return append([]finding{sandbox}, found...)
}

// joined joins the signs with what the child found. Where the sandbox, the first of that,
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
