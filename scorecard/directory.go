// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CardFile is the name of the card in a directory of results; the Markdown beside it
// is scorecard.md.
const CardFile = "scorecard.json"

// The names of the three files of a failing story begin with this prefix, and differ
// in the suffix.
const storyPrefix = "story-"

var storySuffixes = []string{".md", ".json", ".go.txt"}

// Shards is what [MergeDirectories] found and wrote.
type Shards struct {
	Card    Card
	Sources []Source // the cards that were merged, with the names of their files
	Without []string // the directories without a card
	Stories []string // the copied files of failing stories
}

// OK tells whether every shard came to its end and nothing failed or is broken.
func (s Shards) OK() bool {
	missing, _ := s.Card.missingShards()
	return s.Card.OK() && len(missing) == 0 && len(s.Without) == 0 && len(s.Stories) == 0
}

// MergeDirectories makes one card of those of several runs of the same checks against
// the same subject, and writes it into the directory out, as scorecard.json and
// scorecard.md. A name is that of a card, or of a directory: then every scorecard.json
// below it is merged, and every failing story (story-*.md, .json and .go.txt) below it
// is copied into out. Stories of the same name get a number. Other files are ignored,
// and symbolic links in a directory are not followed.
//
// For each check and family the merged card has what the first run with the gravest
// verdict (fail, broken, warn, skip, by-design, pass, in this order) says, with the findings
// of all runs, and counts the runs with each verdict. A duration is the sum: the time that all
// runs spent on the check. The kernel and the machine are all different ones; the seed is that
// of the first run, and Runs has every one. Merged cards may be merged again, with the same
// result as if all were merged at once.
//
// Cards that do not belong together are an error that names the cards and the field: their
// subjects or what they expect of a check differ, they divide the search by different numbers
// of shards, or two are the same shard or the same card. That shards are missing is no error,
// see [Shards.OK]. The directory out is made if it does not exist, and must be empty: an old
// card there could be taken for the new one, or be merged. In case of an error in a card
// nothing is written.
func MergeDirectories(out string, names ...string) (Shards, error) {
	if entries, err := os.ReadDir(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Shards{}, fmt.Errorf("merge scorecards: %w", err)
	} else if len(entries) > 0 {
		return Shards{}, fmt.Errorf("merge scorecards into %s: it is not empty: name a new directory first, "+
			"and then the cards or directories to merge", out)
	}
	var shards Shards
	var stories []storyFile
	for _, name := range names {
		sources, found, err := gather(name)
		if err != nil {
			return Shards{}, fmt.Errorf("merge scorecards: %w", err)
		}
		if len(sources) == 0 {
			shards.Without = append(shards.Without, name)
		}
		shards.Sources, stories = append(shards.Sources, sources...), append(stories, found...)
	}
	if len(shards.Sources) == 0 {
		return Shards{}, fmt.Errorf("merge scorecards: there is no %s below %s: name the directories that the runs wrote",
			CardFile, enumerate(names))
	}
	for _, source := range shards.Sources {
		source.Card.moveRecordings(filepath.Dir(source.Name), out)
	}
	var err error
	if shards.Card, err = merge(shards.Sources...); err != nil {
		return Shards{}, err
	}
	if err = os.MkdirAll(out, 0o777); err == nil {
		err = WriteFile(filepath.Join(out, CardFile), shards.Card)
	}
	if err != nil {
		return Shards{}, fmt.Errorf("merge scorecards: %w", err)
	}
	shards.Stories, err = writeStories(out, stories)
	return shards, err
}

// RecordingsIn returns the card with the names of its recordings as they are seen from elsewhere,
// where the card is in that directory.
func (c Card) RecordingsIn(directory string) Card {
	c.Checks, c.Causes = slices.Clone(c.Checks), slices.Clone(c.Causes)
	in := func(name *string) {
		if *name != "" {
			*name = filepath.Join(directory, filepath.FromSlash(*name))
		}
	}
	for i := range c.Checks {
		in(&c.Checks[i].Recording)
	}
	for i := range c.Causes {
		in(&c.Causes[i].Recording)
	}
	return c
}

// moveRecordings makes the names of recordings, which are relative to one directory, relative to
// another one. The files stay where they are.
func (c Card) moveRecordings(from, to string) {
	move := func(name *string) {
		if *name == "" {
			return
		}
		moved, err := filepath.Rel(to, filepath.Join(from, filepath.FromSlash(*name)))
		if err != nil { // one directory is absolute and the other is not
			*name = ""
			return
		}
		*name = filepath.ToSlash(moved)
	}
	for i := range c.Checks {
		move(&c.Checks[i].Recording)
	}
	for i := range c.Causes {
		move(&c.Causes[i].Recording)
	}
}

// A storyFile is one of the files of a failing story.
type storyFile struct {
	path, suffix string // the path is without the suffix
	content      []byte
}

// gather reads a card, or the cards and the failing stories below a directory, in the order of
// their names.
func gather(dir string) (sources []Source, stories []storyFile, err error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		card, err := ReadFile(dir)
		return []Source{{dir, card}}, nil, err
	}
	root, err := os.OpenRoot(dir) // what is below cannot lead out of it
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		suffix := storySuffix(entry.Name())
		if entry.IsDir() || suffix == "" && entry.Name() != CardFile {
			return nil
		}
		shown := filepath.Join(dir, filepath.FromSlash(name))
		content, err := readRegular(root, name, entry)
		if err == nil && suffix != "" {
			stories = append(stories, storyFile{strings.TrimSuffix(shown, suffix), suffix, content})
		} else if err == nil {
			source := Source{Name: shown}
			source.Card, err = Parse(bytes.NewReader(content))
			sources = append(sources, source)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", shown, err)
		}
		return nil
	})
	return sources, stories, err
}

func readRegular(root *os.Root, name string, entry fs.DirEntry) ([]byte, error) {
	if !entry.Type().IsRegular() {
		return nil, errors.New("this is not a regular file")
	}
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file)
}

// storySuffix returns the suffix of the name of a story's file, "" for another file.
func storySuffix(name string) string {
	i := slices.IndexFunc(storySuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
	if i < 0 || !strings.HasPrefix(name, storyPrefix) {
		return ""
	}
	return storySuffixes[i]
}

func writeStories(out string, stories []storyFile) (written []string, err error) {
	taken := map[string]bool{}
	for _, files := range grouped(stories, func(f storyFile) string { return f.path }) {
		stem := filepath.Base(files[0].path)
		for n := 2; taken[stem]; n++ {
			stem = fmt.Sprintf("%s-%d", filepath.Base(files[0].path), n)
		}
		taken[stem] = true
		slices.SortFunc(files, func(a, b storyFile) int {
			return slices.Index(storySuffixes, a.suffix) - slices.Index(storySuffixes, b.suffix)
		})
		for _, f := range files {
			name := filepath.Join(out, stem+f.suffix)
			if err := os.WriteFile(name, f.content, 0o666); err != nil {
				return written, fmt.Errorf("copy a failing story: %w", err)
			}
			written = append(written, name)
		}
	}
	return written, nil
}
