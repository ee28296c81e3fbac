package scorecard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// CardFile is the name under which a run leaves its card as JSON; the Markdown
// beside it is scorecard.md.
const CardFile = "scorecard.json"

const markdownFile = "scorecard.md"

// A failing story is left under three names of one stem, which begins so.
const storyPrefix = "story-"

var storySuffixes = []string{".md", ".json", ".go.txt"}

// maxFileBytes is more than any card or story is long.
const maxFileBytes = 64 << 20

// Shards is what [MergeDirectories] found and wrote.
type Shards struct {
	Card    Card
	Sources []Source // the cards that were merged, by file
	Without []string // the directories in which there was no card
	Stories []string // the files of failing stories, where they are now
}

// OK tells whether every shard ended and nothing failed.
func (s Shards) OK() bool {
	missing, _ := s.Card.Missing()
	return s.Card.OK() && len(missing) == 0 && len(s.Without) == 0 && len(s.Stories) == 0
}

// MergeDirectories merges every scorecard.json below the directories by [Merge],
// and writes scorecard.json and scorecard.md into the directory out, with a copy
// of every failing story (story-*.md, .json and .go.txt) that lies below them;
// where two have one name, a number tells them apart. Other files are left alone,
// and symbolic links are not followed.
//
// The directory out is made where it does not exist, and must be empty: that no
// old card is taken for the new one, nor the merged one merged once more. A card
// that cannot be parsed is an error, and so is one that contradicts another; then
// nothing is written.
func MergeDirectories(out string, directories ...string) (Shards, error) {
	if entries, err := os.ReadDir(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Shards{}, fmt.Errorf("merge scorecards: %w", err)
	} else if len(entries) > 0 {
		return Shards{}, fmt.Errorf("merge scorecards into %s: it is not empty: name a new directory first, and then those to merge", out)
	}
	var shards Shards
	var stories []story
	for _, dir := range directories {
		sources, found, err := gather(dir)
		if err != nil {
			return Shards{}, fmt.Errorf("merge scorecards: %w", err)
		}
		if len(sources) == 0 {
			shards.Without = append(shards.Without, dir)
		}
		shards.Sources = append(shards.Sources, sources...)
		stories = append(stories, found...)
	}
	if len(shards.Sources) == 0 {
		return Shards{}, fmt.Errorf("merge scorecards: there is no %s below %s: did the runs come to an end?", CardFile, enumerate(directories))
	}
	var err error
	if shards.Card, err = Merge(shards.Sources...); err != nil {
		return Shards{}, err
	}
	var text, markdown bytes.Buffer
	if err := errors.Join(shards.Card.WriteJSON(&text), shards.Card.WriteMarkdown(&markdown)); err != nil {
		return Shards{}, err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return Shards{}, fmt.Errorf("merge scorecards: %w", err)
	}
	for name, content := range map[string][]byte{CardFile: text.Bytes(), markdownFile: markdown.Bytes()} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o666); err != nil {
			return Shards{}, fmt.Errorf("merge scorecards: %w", err)
		}
	}
	shards.Stories, err = writeStories(out, stories)
	return shards, err
}

// story is one failing story: its files by their suffix.
type story struct {
	stem  string
	files map[string][]byte
}

// gather reads the cards and the failing stories below a directory, in the order
// of their names.
func gather(dir string) (sources []Source, stories []story, err error) {
	root, err := os.OpenRoot(dir) // what is below cannot lead out of it
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	found := map[string]int{} // the stories by their path without suffix
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		stem, suffix, isStory := storyName(path.Base(name))
		if entry.IsDir() || !isStory && entry.Name() != CardFile {
			return nil
		}
		shown := filepath.Join(dir, filepath.FromSlash(name))
		content, err := readRegular(root, name, entry)
		if err != nil {
			return fmt.Errorf("%s: %w", shown, err)
		}
		if !isStory {
			card, err := Parse(bytes.NewReader(content))
			if err != nil {
				return fmt.Errorf("%s: %w", shown, err)
			}
			sources = append(sources, Source{shown, card})
			return nil
		}
		key := strings.TrimSuffix(name, suffix)
		i, known := found[key]
		if !known {
			i, found[key] = len(stories), len(stories)
			stories = append(stories, story{stem, map[string][]byte{}})
		}
		stories[i].files[suffix] = content
		return nil
	})
	return sources, stories, err
}

// readRegular reads a file that is one, of a size that can be.
func readRegular(root *os.Root, name string, entry fs.DirEntry) ([]byte, error) {
	if !entry.Type().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("the file is longer than %d MiB", maxFileBytes>>20)
	}
	return content, err
}

// storyName takes the name of a story's file apart.
func storyName(name string) (stem, suffix string, ok bool) {
	if !strings.HasPrefix(name, storyPrefix) {
		return "", "", false
	}
	for _, suffix := range storySuffixes {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			return stem, suffix, true
		}
	}
	return "", "", false
}

// writeStories writes the stories into a directory and returns the files' names.
func writeStories(out string, stories []story) (written []string, err error) {
	taken := map[string]bool{}
	for _, s := range stories {
		stem := s.stem
		for n := 2; taken[stem]; n++ {
			stem = fmt.Sprintf("%s-%d", s.stem, n)
		}
		taken[stem] = true
		for _, suffix := range storySuffixes {
			content, ok := s.files[suffix]
			if !ok {
				continue
			}
			name := filepath.Join(out, stem+suffix)
			if err := os.WriteFile(name, content, 0o666); err != nil {
				return written, fmt.Errorf("copy a failing story: %w", err)
			}
			written = append(written, name)
		}
	}
	return written, nil
}
