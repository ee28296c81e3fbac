// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"

	"forkrig/checks"
	"forkrig/scorecard"
)

// list prints the checks with what they mean.
func list(w io.Writer) {
	for _, check := range checks.All() {
		fmt.Fprintf(w, "%-18s %s\n", check.Name, check.Meaning)
	}
}

// show prints a card.
func show(out *output, name string) (status int, err error) {
	card, err := scorecard.ReadFile(name)
	if err != nil {
		return statusUsage, err
	}
	fmt.Fprintf(out, "%s\n\n", card.Heading())
	if err := card.WriteTable(out, out.style()); err != nil || !card.OK() {
		return statusWrong, nil // what could not be written, out knows
	}
	return statusRight, nil
}

// diff prints how two cards differ. The status says whether something became worse.
func diff(out *output, before, after string) (status int, err error) {
	older, err := scorecard.ReadFile(before)
	if err != nil {
		return statusUsage, err
	}
	newer, err := scorecard.ReadFile(after)
	if err != nil {
		return statusUsage, err
	}
	difference := scorecard.Diff(older, newer)
	_ = difference.WriteText(out, out.style())                                 // out knows an error
	if difference.Worse() || len(newer.Checks) == 0 && len(older.Checks) > 0 { // what judges nothing proves nothing
		return statusWrong, nil
	}
	return statusRight, nil
}

// merge merges the cards and failing stories of several runs into the new directory dir,
// and tells out what came of it. The status is 0 if all shards are there and nothing failed.
func merge(out *output, dir string, sources []string) (status int, err error) {
	if dir == "" || len(sources) == 0 {
		return statusUsage, errors.New("merge: give the directory to write, and then the cards or directories to merge: merge OUT CARD…")
	}
	shards, err := scorecard.MergeDirectories(dir, sources...)
	if err != nil {
		return statusUsage, err
	}
	line := func(format string, args ...any) {
		fmt.Fprintln(out, scorecard.Printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(out, "%s\n\n", shards.Card.Heading())
	_ = shards.Card.WriteTable(out, out.style()) // out knows an error
	for _, s := range shards.Sources {
		if !s.Card.OK() {
			line("failed or broken: %s: %v", s.Name, s.Card.Counts())
		}
	}
	for _, name := range shards.Without {
		line("no scorecard: %s: the run did not finish", name)
	}
	for _, name := range shards.Stories {
		line("failing story: %s", name)
	}
	line("merged into %s", dir)
	if !shards.OK() {
		return statusWrong, nil
	}
	return statusRight, nil
}
