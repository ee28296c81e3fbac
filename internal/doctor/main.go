// SPDX-License-Identifier: Apache-2.0

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

	"forkrig/rig"
)

// childEnv tells the child that it is one.
const childEnv = "FORKRIG_DOCTOR"

// childValue is what the variable is in the child.
const childValue = "inside"

// childPatience is how long the child may take, as a multiple of [rig.Patience].
const childPatience = 3

// The exit statuses of [Main].
const (
	exitRuns       = 0
	exitRunsNot    = 3
	exitNotPrinted = 1
)

// message is one line from the child.
type message struct {
	Finding *Finding `json:",omitempty"`
	All     bool     `json:",omitempty"` // this was the last one
}

// Main finds out what the machine lacks, prints it to out, and returns the exit status
// of the program: 0 where the rig can run, 3 where it cannot, 1 where out cannot be
// written to. With colour it prints for a terminal. It starts this program again, with
// the same arguments, so the program must come to Main by them before it has an
// effect, and it has called [rig.Dispatch] with [Program] as [ProgramName] and
// inject.Shim as "inject". See the package comment for the two processes.
func Main(out io.Writer, colour bool) int {
	if os.Getenv(childEnv) == childValue {
		return childMain()
	}
	outside := Outside()
	all := outside
	if runtime.GOOS == "linux" {
		all = merged(outside, askChild())
	}
	if err := Write(out, all, colour); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: write the findings: %v\n", err)
		return exitNotPrinted
	}
	if !Runs(all) {
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
			inside(tb, func(f Finding) { failed = errors.Join(failed, lines.Encode(message{Finding: &f})) })
		})
		if outcome.Failed {
			failed = errors.Join(failed, errors.New(firstLine(outcome.Log)))
		}
		if failed == nil {
			failed = lines.Encode(message{All: true})
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
func askChild() []Finding {
	ctx, cancel := context.WithTimeout(context.Background(), childPatience*rig.Patience())
	defer cancel()
	child := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), childEnv+"="+childValue)
	child.WaitDelay = 5 * time.Second // for the streams, which the sandbox's processes have, too
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	err := runWithParent(child)
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer after %v", childPatience*rig.Patience())
	}
	return findingsOf(stdout.Bytes(), stderr.String(), err)
}

// findingsOf makes findings of what the child wrote and of how it ended.
func findingsOf(stdout []byte, stderr string, ended error) []Finding {
	var findings []Finding
	all := false
	for line := range bytes.Lines(stdout) {
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue // not ours
		}
		if m.Finding != nil {
			findings = append(findings, *m.Finding)
		}
		all = all || m.All
	}
	said := lastLines(stderr, 3)
	if said == "" && ended != nil {
		said = ended.Error()
	}
	sandbox := Finding{Name: "sandbox", Essential: true, State: Works, Detail: "it starts, and leaves nothing behind"}
	switch {
	case len(findings) == 0:
		sandbox.State, sandbox.Costs = Missing, nothingRuns
		sandbox.Detail = "it does not start: " + said
		sandbox.Remedy = "do what the message says"
	case !all:
		sandbox.State, sandbox.Costs = Limited, "the features after the last one below were not tried"
		sandbox.Detail = "the trial ended early: " + said
		sandbox.Remedy = "run forkrig doctor again; if it happens again, report it with this output"
	case ended != nil:
		sandbox.State, sandbox.Costs = Limited, "runs may end with status 1 although every check passed"
		sandbox.Detail = said
		sandbox.Remedy = "run forkrig doctor again; if it happens again, report it with this output"
	}
	return append([]Finding{sandbox}, findings...)
}

// lastLines returns the last n lines of what the child said, on one line, without the
// program's name.
func lastLines(text string, n int) string {
	lines := slices.Collect(strings.Lines(strings.TrimSpace(text)))
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(line, "forkrig: "))
	}
	return strings.Join(lines, "; ")
}

// merged joins what was seen outside with what was tried inside. A trial counts more
// than a sign: where a host and a process worked, nothing essential is missing. Where
// the sandbox, the first finding inside, does not start, its remedy names the signs why.
func merged(outside, inside []Finding) []Finding {
	outside, inside = slices.Clone(outside), slices.Clone(inside)
	runs := Runs(inside)
	signs := map[State][]string{}
	for i, f := range outside {
		if !f.Essential {
			continue
		}
		signs[f.State] = append(signs[f.State], f.Name)
		if f.State == Missing && runs {
			outside[i] = works(true, f)
			outside[i].Detail += "; the sandbox starts all the same"
		}
	}
	if sandbox := &inside[0]; sandbox.State == Missing {
		switch {
		case signs[Missing] != nil:
			sandbox.Remedy = "see the remedy of " + strings.Join(signs[Missing], " and of ")
		case signs[Limited] != nil:
			sandbox.Remedy += ", and see the remedy of " + strings.Join(signs[Limited], " and of ")
		}
	}
	return append(outside, inside...)
}
