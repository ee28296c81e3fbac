// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"forkrig/scorecard"
)

// output is where a person reads. It remembers that something could not be written, so
// that a full disk does not look like a subject that is right. One goroutine writes at a
// time.
type output struct {
	file *os.File
	err  error // the first one
}

// Write implements [io.Writer].
func (o *output) Write(b []byte) (n int, err error) {
	n, err = o.file.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func (o *output) style() scorecard.Style { return scorecard.StyleOf(o.file) }

// status is the exit status where the program would end with the given one.
func (o *output) status(status int) int {
	if o.err == nil {
		return status
	}
	fmt.Fprintf(os.Stderr, "forkrig: print the result: %v\n", o.err)
	return statusUnable
}
