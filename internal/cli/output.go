// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"forkrig/scorecard"
)

// output is where a person reads. It remembers that something could not be written, so
// that a full disk does not look like a subject that is right. One goroutine writes at a
// time.
type output struct {
	file  *os.File
	guard *commandGuard // nil where no runner of GitHub Actions reads
	err   error         // the first one
	told  bool          // the error was told

	below atomic.Pointer[footer] // stands there on a terminal; nil for none
}

func newOutput(file *os.File) *output {
	o := &output{file: file}
	if inWorkflow() {
		o.guard = &commandGuard{}
	}
	return o
}

// Write implements [io.Writer]. Nothing that is written is a command for a runner of GitHub Actions.
func (o *output) Write(b []byte) (n int, err error) {
	if o.guard == nil {
		return o.write(b)
	}
	if _, err = o.write(o.guard.guarded(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (o *output) write(b []byte) (n int, err error) {
	n, err = o.file.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// summarize appends the card to the summary of a job of GitHub Actions, where there is one.
func summarize(card scorecard.Card) {
	if err := appendSummary(card); err != nil { // which says nothing of the subject
		complain(fmt.Errorf("GITHUB_STEP_SUMMARY: %w", err))
	}
}

// annotate has a runner of GitHub Actions show what is wrong, where one reads.
func (o *output) annotate(card scorecard.Card) {
	if o.guard == nil {
		return
	}
	var commands strings.Builder
	_ = card.WriteAnnotations(&commands) // a builder has no error
	_, _ = o.write([]byte(commands.String()))
	*o.guard = commandGuard{}
}

func (o *output) style() scorecard.Style { return scorecard.StyleOf(o.file) }

// status is the exit status where the program would end with the given one.
func (o *output) status(status int) int {
	if o.err == nil {
		return status
	}
	if !o.told {
		o.told = true
		complain(fmt.Errorf("print the result: %w", o.err))
	}
	return statusUnable
}

// complain says on standard error what is wrong, or above the footer, which would be drawn over it.
func (o *output) complain(err error) {
	if f := o.below.Load(); f != nil {
		f.say(complaint(err))
		return
	}
	complain(err)
}

// complain says on standard error what is wrong.
func complain(err error) { say(complaint(err)) }

// complaint is an error as it is printed.
func complaint(err error) string {
	return scorecard.Printable("forkrig: " + strings.TrimPrefix(err.Error(), "forkrig: ") + "\n")
}

// say prints text of any origin on standard error. What cannot be written is lost.
func say(text string) { fmt.Fprint(newOutput(os.Stderr), scorecard.Printable(text)) }
