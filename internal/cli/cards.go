// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"forkrig/checks"
	"forkrig/scorecard"
)

// list prints the checks with what they mean.
func list(w io.Writer) {
	for _, check := range checks.All() {
		fmt.Fprintf(w, "%-18s %s\n", check.Name, check.Meaning)
	}
}

// show prints a card, or all that it says about one check. The status says whether that is right.
func show(out *output, name string, check ...string) (status int, err error) {
	card, err := scorecard.ReadFile(name)
	if err != nil {
		return statusUsage, err
	}
	if len(check) > 0 {
		if !slices.ContainsFunc(card.Checks, func(r scorecard.Result) bool { return r.Name == check[0] }) {
			return statusUsage, card.WriteCheck(io.Discard, check[0], scorecard.Style{})
		}
		_ = card.WriteCheck(out, check[0], out.style()) // out knows an error
		card.Checks = slices.DeleteFunc(card.Checks, func(r scorecard.Result) bool { return r.Name != check[0] })
		if n := card.Counts(); n.Fail+n.Broken > 0 {
			return statusWrong, nil
		}
		return statusRight, nil
	}
	tellCard(out, card, out.style(), name)
	if !card.OK() {
		return statusWrong, nil
	}
	return statusRight, nil
}

// tellCard prints a card, and how to see more of it; name is the file that it is in, "" for none.
func tellCard(out *output, card scorecard.Card, style scorecard.Style, name string) {
	_ = card.WriteText(out, style) // out knows an error
	if n := card.Counts(); n.Fail+n.Broken+n.Warn == 0 || style.Full {
		return
	}
	if name == "" {
		fmt.Fprintln(out, "all evidence: -v, or -scorecard CARD.json and forkrig show CARD.json CHECK")
		return
	}
	fmt.Fprintf(out, "all evidence: forkrig show %s CHECK\n", scorecard.Printable(name))
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
	tellCard(out, shards.Card, out.style(), filepath.Join(dir, scorecard.CardFile))
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
