// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"forkrig/rig"
	"forkrig/scorecard"
)

// A keptCard is a card with the files that were asked for.
type keptCard struct {
	scorecard.Card
	files []cardFile
	err   error // the first one of all updates
}

// A cardFile is a file that has the card in one form, "" for none.
type cardFile struct {
	flag, name string
	write      func(name string, card scorecard.Card) error
}

// cardFiles are those that the flags name.
func (o *Options) cardFiles() []cardFile {
	return append([]cardFile{{"scorecard", o.card, scorecard.WriteFile}}, o.furtherFiles()...)
}

// furtherFiles are those beside a card whose name no flag gives.
func (o *Options) furtherFiles() []cardFile {
	return []cardFile{{"junit", o.junit, scorecard.WriteJUnitFile}}
}

func (k *keptCard) enter(r scorecard.Result) {
	for i, old := range k.Checks {
		if old.Name == r.Name && old.Family == r.Family {
			k.Checks[i] = r
		}
	}
}

// update writes the card as it is while the run goes on.
func (k *keptCard) update() {
	if err := k.write(false); k.err == nil {
		k.err = err
	}
}

// write writes all files. The error is the first one. What is not a regular file, such as
// /dev/stdout, gets the final card only.
func (k *keptCard) write(final bool) (first error) {
	for _, f := range k.files {
		if err := f.keep(k.Card, final); err != nil && first == nil {
			first = fmt.Errorf("-%s: %w", f.flag, err)
		}
	}
	return first
}

func (f cardFile) keep(card scorecard.Card, final bool) error {
	if f.name == "" {
		return nil
	}
	name := rig.FromInvoker(f.name)
	// A named pipe without a reader would block the run.
	if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return fmt.Errorf("%s is a named pipe: give a regular file or /dev/stdout", f.name)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() && !final {
		return nil
	}
	return f.write(name, card)
}
