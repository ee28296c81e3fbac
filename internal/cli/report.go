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
	"strings"

	"forkrig/kernels"
	"forkrig/recorder"
	"forkrig/report"
	"forkrig/scorecard"
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
		return statusUsage, fmt.Errorf("-o %s: give the name of a page, which ends in .html", r.to)
	}
	b := &pageBuilder{seen: map[string]bool{}}
	for _, name := range names {
		if err := b.add(name); err != nil {
			return statusUsage, err
		}
	}
	if len(b.page.Cards) == 0 && len(b.page.Pictures) == 0 {
		return statusUsage, fmt.Errorf("report: nothing to show in %s: give a card, a recording, a story or a directory with some", strings.Join(names, ", "))
	}
	b.page.Title = "forkrig: " + strings.Join(names, ", ")
	if r.bundle != "" {
		return statusOfWrite(r.writeBundle(b, out))
	}
	if err := writeNew(r.to, b.page.WriteHTML); err != nil {
		return statusOfWrite(err)
	}
	fmt.Fprintf(out, "%s: %s, %s\n", scorecard.Printable(r.to), scorecard.Counted(len(b.page.Cards), "card", "cards"),
		scorecard.Counted(b.pictures, "picture", "pictures"))
	for _, name := range b.missing {
		fmt.Fprintf(out, "not there: %s\n", scorecard.Printable(name))
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
	missing  []string        // recordings that a card names and that are not there
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
		return fmt.Errorf("%s is no regular file: give a card, a recording, a story or a directory", name)
	case kernels.IsTable(name):
		return b.addTable(name)
	case isRecording(name):
		return b.addRecording(name)
	}
	if _, err := readStory(name); err == nil {
		return b.addStory(name)
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
			if card, err := scorecard.ReadFile(name); err == nil { // another file is none of ours
				b.addCard(name, name, card)
			}
		}
		return nil
	})
	for _, name := range recordings {
		err = errors.Join(err, b.addRecording(name))
	}
	return err
}

// addRecording adds a recording that belongs to no card, unless it is shown already.
func (b *pageBuilder) addRecording(name string) error {
	if b.seen[filepath.Clean(name)] {
		return nil
	}
	recording, err := recorder.ReadFile(name)
	if err != nil {
		return err
	}
	b.seen[filepath.Clean(name)] = true
	b.files = append(b.files, name)
	b.page.Pictures = append(b.page.Pictures, report.Picture{Recording: recording})
	b.pictures++
	return nil
}

// addStory adds the recording of a story, which stands below the story's directory.
func (b *pageBuilder) addStory(name string) error {
	beside := filepath.Join(filepath.Dir(name), recordingsIn, filepath.Base(name))
	if _, err := os.Stat(beside); err != nil {
		return fmt.Errorf("%s is a story without a recording: make one with forkrig replay -record %s %s",
			name, filepath.Join(filepath.Dir(name), recordingsIn), name)
	}
	return b.addRecording(beside)
}

// addTable adds the cards of a table of kernels.
func (b *pageBuilder) addTable(name string) error {
	table, err := kernels.Read(name)
	if err != nil {
		return err
	}
	for _, column := range table.Kernels {
		if column.Card != nil {
			b.addCard(column.Name(), name, *column.Card)
		}
	}
	return nil
}

// addCard adds the card of a file with the recordings that it names.
func (b *pageBuilder) addCard(label, file string, card scorecard.Card) {
	if !b.seen[file] { // a table has several cards
		b.seen[file] = true
		b.files = append(b.files, file)
	}
	directory := filepath.Dir(file)
	shown := report.Card{Label: label, Card: card}
	add := func(check, family, name string) {
		if name == "" {
			return
		}
		path := filepath.Join(directory, filepath.FromSlash(name))
		recording, err := recorder.ReadFile(path)
		if err != nil {
			b.missing = append(b.missing, err.Error())
			return
		}
		b.seen[path] = true
		b.files = append(b.files, path)
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
