// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"forkrig/checks"
	"forkrig/kernels"
	"forkrig/scorecard"
)

func list(w io.Writer) {
	for _, check := range checks.All() {
		fmt.Fprintf(w, "%-18s %s\n", check.Name, check.Meaning)
	}
}

// show prints a card, or all that it says about one check. The status says whether that is right.
func (o *output) show(args []string) (status int, err error) {
	if kernels.IsTable(args[0]) {
		return o.showTable(args)
	}
	if isRecording(args[0]) {
		if len(args) > 1 {
			return statusUsage, fmt.Errorf("%s is a recording and not a card: omit %q", args[0], args[1])
		}
		return o.showRecording(args[0])
	}
	card, err := scorecard.ReadFile(args[0])
	if err != nil {
		if isStory(args[0]) {
			err = fmt.Errorf("%s is a story: forkrig replay plays it, and the .md file beside it describes it", args[0])
		}
		return statusUsage, err
	}
	card = card.RecordingsIn(directoryOf(args[0]))
	if len(args) == 1 {
		o.tell(card, o.style(), args[0])
		return statusOf(card.OK()), nil
	}
	others := func(r scorecard.Result) bool { return r.Name != args[1] }
	one := card
	one.Checks = slices.DeleteFunc(slices.Clone(card.Checks), others)
	if len(one.Checks) == 0 {
		return statusUsage, card.WriteCheck(io.Discard, args[1], scorecard.Style{})
	}
	_ = card.WriteCheck(o, args[1], o.style()) // o knows an error
	n := one.Counts()
	return statusOf(n.Fail+n.Broken == 0), nil
}

// tell prints a card, and how to see more of it; name is the file that it is in, "" for none.
func (o *output) tell(card scorecard.Card, style scorecard.Style, name string) {
	_ = card.WriteText(o, style) // o knows an error
	n := card.Counts()
	switch {
	case n.Fail+n.Broken+n.Warn == 0 || style.Full:
	case name == "":
		fmt.Fprintln(o, "all evidence: -v, or -scorecard CARD.json and forkrig show CARD.json CHECK")
	default:
		fmt.Fprintf(o, "all evidence: forkrig show %s CHECK\n", scorecard.Printable(name))
	}
}

// diff prints how two cards differ. The status says whether something became worse.
func (o *output) diff(args []string) (status int, err error) {
	if areTables(args) {
		return o.diffTables(args)
	}
	var cards [2]scorecard.Card
	for i := range cards {
		if cards[i], err = scorecard.ReadFile(args[i]); err != nil {
			return statusUsage, err
		}
	}
	difference := scorecard.Diff(cards[0], cards[1])
	_ = difference.WriteText(o, o.style())                                 // o knows an error
	judgesNothing := len(cards[1].Checks) == 0 && len(cards[0].Checks) > 0 // which proves nothing
	return statusOf(!difference.Worse() && !judgesNothing), nil
}

// merge merges the cards and failing stories of several runs into a new directory, the first of
// the arguments, writes the card into further files, and tells what came of it. The status is 0 if
// all shards are there and nothing failed.
func (o *output) merge(args []string, files []cardFile) (status int, err error) {
	if len(args) < 2 || args[0] == "" {
		return statusUsage, errors.New("merge: give the directory to write, " +
			"and then the cards or directories to merge: merge OUT CARD…")
	}
	if areTables(args[1:]) {
		if i := slices.IndexFunc(files, func(f cardFile) bool { return f.name != "" }); i >= 0 {
			return statusUsage, fmt.Errorf("-%s is for cards, and these are tables of kernels: omit it", files[i].flag)
		}
		return o.mergeTables(args)
	}
	for _, f := range files { // better now than when there is a directory that a second try would find
		if _, err := os.Stat(filepath.Dir(f.name)); err != nil {
			return statusUsage, fmt.Errorf("-%s: %w", f.flag, err)
		}
	}
	shards, err := scorecard.MergeDirectories(args[0], args[1:]...)
	if err != nil {
		return statusUsage, err
	}
	if err := (&keptCard{Card: shards.Card, files: files}).write(true); err != nil {
		return statusUsage, err
	}
	line := func(format string, args ...any) {
		fmt.Fprintln(o, scorecard.Printable(fmt.Sprintf(format, args...)))
	}
	o.tell(shards.Card, o.style(), filepath.Join(args[0], scorecard.CardFile))
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
	line("merged into %s", args[0])
	o.annotate(shards.Card)
	return statusOf(shards.OK()), nil
}
