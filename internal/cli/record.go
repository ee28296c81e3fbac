// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"forkrig/judge"
	"forkrig/recorder"
	"forkrig/report"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// recordings keeps what happened in the labs of a run, in a directory.
type recordings struct {
	directory string // that of the sandbox's files; "" where nothing is kept
	from      string // the directory of the card, to which the names are relative
	all       bool   // those of checks that pass, too
	replaces  bool   // the directory has those of the card that is replaced

	mu  sync.Mutex
	err error // the first one
}

// recordingsIn is the directory of the recordings of stories, beside them.
const recordingsIn = "recordings"

// recordings are those that the options ask for: with -record all of them, and otherwise, where a
// card is kept, those of what fails, beside the card.
func (o *Options) recordings() *recordings {
	r := &recordings{all: o.record != ""}
	switch {
	case o.record != "":
		r.directory = absolute(o.record)
	case o.card != "" && isFile(absolute(o.card)):
		r.directory = strings.TrimSuffix(absolute(o.card), filepath.Ext(o.card)) + "-recordings"
		r.replaces = true
	}
	if r.directory == "" {
		return r
	}
	r.directory = resolved(r.directory)
	r.from = r.directory
	if o.card != "" {
		r.from = resolved(filepath.Dir(absolute(o.card)))
	}
	return r
}

// resolved is the path without symbolic links, of what exists of it: the way from one directory to
// another is that of the directories and not of their names.
func resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path || path == "" {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}

// absolute is the path of a file of the one who called the command. Of two such paths one leads to
// the other.
func absolute(name string) string {
	name = rig.FromInvoker(name)
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}

// isFile says whether the name is that of a file, and not of a device or a pipe, or of nothing yet.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular()
}

// directoryOf is the directory in which a file really is, as it was named where no symbolic link is
// on the way.
func directoryOf(file string) string {
	named := filepath.Dir(file)
	if real := filepath.Dir(resolved(absolute(file))); real != filepath.Dir(absolute(file)) {
		return real
	}
	return named
}

// prepare refuses a directory of -record that cannot be written into, before anything is judged.
func (r *recordings) prepare() error {
	if !r.all {
		return nil
	}
	err := os.MkdirAll(r.directory, 0o777)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(r.directory, ".forkrig-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("-record: %w: give a directory that can be written into", err)
	}
	return nil
}

// replace removes the recordings of the card that was replaced just now.
func (r *recordings) replace() {
	if r.replaces {
		report.RemoveFiles(r.directory)
	}
}

// record is nil where nothing is recorded.
func (r *recordings) record() judge.Record {
	if r.directory == "" {
		return nil
	}
	return r.as("")
}

// as is record with another label than that of the check, where it is not empty.
func (r *recordings) as(name string) judge.Record {
	return func(lab *rig.Lab) judge.Keep {
		recording := recorder.Record(lab)
		return func(label string, result scorecard.Result) string {
			label = cmp.Or(name, label)
			recording.Stop()
			if !r.all && !wanted(result.Verdict) {
				return ""
			}
			name, err := r.write(label, recording.Recording(label, outcomeOf(result)))
			if err != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				if r.err == nil {
					r.err = fmt.Errorf("keep the recording of %s: %w: make room, or give another directory with -record", label, err)
				}
			}
			return name
		}
	}
}

// failed returns the first error of writing, nil where all was written.
func (r *recordings) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// placed is the card with the names of its recordings as they are from where the command was called.
func (r *recordings) placed(card scorecard.Card, o *Options) scorecard.Card {
	directory := o.record
	if o.card != "" {
		directory = directoryOf(o.card)
	}
	return card.RecordingsIn(directory)
}

// wanted says whether people will want to see what happened.
func wanted(v scorecard.Verdict) bool { return v == scorecard.Fail || v == scorecard.Broken }

func outcomeOf(r scorecard.Result) recorder.Outcome {
	o := recorder.Outcome{Verdict: string(r.Verdict), Expected: r.Expected, Observed: r.Observed, Why: r.Remedy + r.Reason}
	if r.End != nil && r.End.Words != "" {
		o.Words = strings.Split(r.End.Words, "\n")
	}
	return o
}

// storyPlays is how often a story is played at the most until it fails again and is recorded.
const storyPlays = 3

// recordStories plays stories that failed again, and keeps what happens when they fail.
func (r *recordings) recordStories(tb rig.TB, stories []search.Story) error {
	for _, story := range stories {
		failed := false
		for i := 0; i < storyPlays && !failed && tb.Context().Err() == nil; i++ {
			failed = rig.Sub(tb.Context(), tb, func(tb rig.TB) {
				search.ReplayRecorded(tb, story.Subject, story.AtOnce, story.Schedule, r.as(story.Name()))
			}).Failed
		}
	}
	return r.failed()
}

// write writes a recording, and returns its name relative to the card.
func (r *recordings) write(label string, recording recorder.Recording) (string, error) {
	name, err := report.WriteFiles(r.directory, label, recording)
	if err != nil {
		return "", err
	}
	relative, err := filepath.Rel(r.from, name)
	return filepath.ToSlash(relative), err
}
