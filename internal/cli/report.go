// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"forkrig/kernels"
	"forkrig/recorder"
	"forkrig/report"
	"forkrig/scorecard"
	"forkrig/search"
)

// reporting is what the flags of the command report say.
type reporting struct {
	Options
	to     string // the file of the page
	bundle string // that of the archive, "" for none
}

func (r *reporting) flags(f *flag.FlagSet) {
	f.StringVar(&r.to, "o", "forkrig.html", "write the page to this `FILE.html`")
	f.StringVar(&r.bundle, "bundle", "", "write an archive to this `FILE.tar.gz` instead: the page, the files that it shows, "+
		"and what forkrig doctor says, without names that could identify you")
}

// report makes a page of what the arguments name: cards, recordings, stories, tables of kernels, and
// directories of these.
func (r *reporting) report(names []string, out io.Writer) (status int, err error) {
	if ext := filepath.Ext(r.to); !strings.EqualFold(ext, ".html") && !strings.EqualFold(ext, ".htm") {
		return statusUsage, fmt.Errorf("-o %s: give a name that ends in .html", r.to)
	}
	if _, given := r.given("o"); given && r.bundle != "" {
		return statusUsage, errors.New("-o and -bundle exclude each other: the archive has the page")
	}
	if name := strings.ToLower(r.bundle); name != "" && !strings.HasSuffix(name, ".tar.gz") && !strings.HasSuffix(name, ".tgz") {
		return statusUsage, fmt.Errorf("-bundle %s: give a name that ends in .tar.gz", r.bundle)
	}
	b := &pageBuilder{seen: map[string]bool{}}
	for _, name := range names {
		if err := b.add(name); err != nil {
			return statusUsage, err
		}
	}
	if len(b.page.Cards)+len(b.page.Pictures)+len(b.page.Tables) == 0 {
		return statusUsage, fmt.Errorf("report: nothing to show in %s: give a card, a recording, a story or a directory with some", strings.Join(names, ", "))
	}
	var short []string // which do not say where they are
	for _, name := range names {
		short = append(short, filepath.Base(name))
	}
	b.page.Title = "forkrig: " + strings.Join(short, ", ")
	if r.bundle != "" {
		return statusOfWrite(r.writeBundle(b, out))
	}
	if err := report.WriteFile(r.to, b.page.WriteHTML); err != nil {
		return statusOfWrite(err)
	}
	fmt.Fprintf(out, "%s: %s, %s, %s\n", scorecard.Printable(r.to), scorecard.Counted(len(b.page.Cards), "card", "cards"),
		scorecard.Counted(b.pictures, "picture", "pictures"), scorecard.Counted(len(b.page.Tables), "table", "tables"))
	for _, name := range b.missing {
		fmt.Fprintf(out, "not shown: %s\n", scorecard.Printable(name))
	}
	return statusRight, nil
}

func statusOfWrite(err error) (int, error) {
	if err != nil {
		return statusUnable, err
	}
	return statusRight, nil
}

// pageBuilder gathers what is shown.
type pageBuilder struct {
	page     report.Page
	files    []string // that are shown
	pictures int
	seen     map[string]bool // the files of recordings that are shown
	missing  []string        // files that are not shown, with the reasons
}

// add adds a file, or what a directory has.
func (b *pageBuilder) add(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return b.addDirectory(name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: give a card, a recording, a story or a directory", name)
	case kernels.IsTable(name):
		return b.addTable(name)
	case isRecording(name):
		return b.addRecording(name, "")
	case strings.EqualFold(filepath.Ext(name), ".md"):
		return b.addMarkdown(name)
	case slices.Contains([]string{".html", ".pcapng", ".perfetto-trace"}, filepath.Ext(name)):
		return fmt.Errorf("%s is a form of a recording: give the .json beside it", name)
	}
	if story, err := readStory(name); err == nil {
		return b.addStory(name, story)
	}
	card, err := scorecard.ReadFile(name)
	if err != nil {
		return err
	}
	b.addCard("", name, card)
	return nil
}

// addDirectory adds the cards below a directory, and the recordings that no card names.
func (b *pageBuilder) addDirectory(directory string) error {
	var recordings []string
	err := filepath.WalkDir(directory, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(name) != ".json" {
			return err
		}
		switch {
		case isRecording(name):
			recordings = append(recordings, name)
		case kernels.IsTable(name):
			return b.addTable(name)
		default:
			if _, err := readStory(name); err == nil {
				return nil // its recording is shown
			}
			if card, err := scorecard.ReadFile(name); err == nil {
				b.addCard(name, name, card)
			} else {
				b.missing = append(b.missing, err.Error())
			}
		}
		return nil
	})
	for _, name := range recordings {
		if err := b.addRecording(name, ""); err != nil {
			b.missing = append(b.missing, err.Error())
		}
	}
	return err
}

// addRecording adds a recording that belongs to no card, unless it is shown already, with a text above it.
func (b *pageBuilder) addRecording(name, text string) error {
	if b.seen[filepath.Clean(name)] {
		return nil
	}
	recording, err := recorder.ReadFile(name)
	if err != nil {
		return err
	}
	b.use(name)
	b.page.Pictures = append(b.page.Pictures, report.Picture{Text: text, Recording: recording})
	b.pictures++
	return nil
}

// addStory adds the recording of a story, which stands below the story's directory.
func (b *pageBuilder) addStory(name string, story search.Story) error {
	beside := filepath.Join(filepath.Dir(name), recordingsIn, filepath.Base(name))
	if _, err := os.Stat(beside); err != nil {
		return fmt.Errorf("%s is a story without a recording: make one with forkrig replay -record %s %s",
			name, filepath.Join(filepath.Dir(name), recordingsIn), name)
	}
	b.use(name)
	return b.addRecording(beside, story.String())
}

// addTable adds the cards of a table of kernels.
func (b *pageBuilder) addTable(name string) error {
	table, err := kernels.Read(name)
	if err != nil {
		return err
	}
	b.use(name)
	var text strings.Builder
	_ = table.WriteMarkdown(&text, askAgain(table)) // a builder has no error
	b.page.Tables = append(b.page.Tables, markdownTables(text.String())...)
	for _, column := range table.Kernels {
		if column.Card != nil {
			b.addCard(column.Name(), name, *column.Card)
		}
	}
	return nil
}

// ofRun says whether a recording with that seed is of the run of the card, or of one of those that
// the card was merged of.
func ofRun(card scorecard.Card, seed uint64) bool {
	return card.Seed == seed || slices.ContainsFunc(card.Runs, func(r scorecard.Run) bool { return r.Seed == seed })
}

// addMarkdown adds the tables of a text, such as that of make defects.
func (b *pageBuilder) addMarkdown(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	tables := markdownTables(string(text))
	if len(tables) == 0 {
		return fmt.Errorf("%s has no table: give a card, a recording, a story, a table of kernels, or Markdown with a table", name)
	}
	b.use(name)
	b.page.Tables = append(b.page.Tables, tables...)
	return nil
}

// use notes that a file is shown.
func (b *pageBuilder) use(name string) {
	if name = filepath.Clean(name); !b.seen[name] {
		b.seen[name] = true
		b.files = append(b.files, name)
	}
}

// addCard adds the card of a file with the recordings that it names.
func (b *pageBuilder) addCard(label, file string, card scorecard.Card) {
	b.use(file)
	directory := directoryOf(file)
	shown := report.Card{Label: label, Card: card}
	add := func(check, family, name string) {
		if name == "" {
			return
		}
		path := filepath.Join(directory, filepath.FromSlash(name))
		recording, err := recorder.ReadFile(path)
		if err == nil && !ofRun(card, recording.Seed) {
			err = fmt.Errorf("%s: it is of another run, whose seed is %d", path, recording.Seed)
		}
		if err != nil {
			b.missing = append(b.missing, err.Error())
			return
		}
		b.use(path)
		shown.Pictures = append(shown.Pictures, report.Picture{Check: check, Family: family, Recording: recording})
		b.pictures++
	}
	for _, cause := range card.Causes {
		add("", "", cause.Recording)
	}
	for _, result := range card.Checks {
		add(result.Name, result.Family, result.Recording)
	}
	b.page.Cards = append(b.page.Cards, shown)
}
