// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile writes the card into a file as JSON, and as Markdown into the file beside
// it whose name has .md instead of the extension. It replaces each file as a whole:
// a reader sees the old card or the new one, and an error leaves the old one. A new
// file has the mode 0666 without the umask; one that is replaced keeps its mode and, if
// root replaces it, its owner. A symbolic link stays one: what it leads to is written,
// and made where it does not exist. Where the directory does not allow to replace a file,
// WriteFile writes into the file that is there. The Markdown replaces no file that does not
// begin as a card's does: that is an error, and nothing is written.
//
// Into a name that is not a regular file, such as /dev/stdout or a pipe, it writes the
// JSON alone, and does so at each call: write such a name once, when the run has ended.
func WriteFile(name string, card Card) error {
	markdownName := MarkdownName(name)
	if markdownName == name {
		return fmt.Errorf("write scorecard: %s is the name for the Markdown: give the name of the JSON, such as %s.json",
			name, strings.TrimSuffix(name, ".md"))
	}
	if err := checkMarkdown(name, markdownName); err != nil {
		return fmt.Errorf("write scorecard: %w", err)
	}
	var text, markdown bytes.Buffer
	if err := errors.Join(card.WriteJSON(&text), card.WriteMarkdown(&markdown)); err != nil {
		return err
	}
	regular, err := ReplaceFile(name, text.Bytes())
	if err == nil && regular {
		_, err = ReplaceFile(markdownName, markdown.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write scorecard: %w", err)
	}
	return nil
}

// MarkdownName is the name of the Markdown beside a file with a card.
func MarkdownName(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) + ".md" }

// WriteJUnitFile writes the card into a file as the XML of JUnit, see [Card.WriteJUnit]. It replaces
// the file as [WriteFile] does, whatever was in it.
func WriteJUnitFile(name string, card Card) error {
	var text bytes.Buffer
	err := card.WriteJUnit(&text)
	if err == nil {
		_, err = ReplaceFile(name, text.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

// maxFileBytes is more than the length of any card or story.
const maxFileBytes = 64 << 20

// ReadFile reads the card in a file, see [Parse].
func ReadFile(name string) (Card, error) {
	// A named pipe without a writer would block, also against SIGTERM. Those of a shell's
	// <(COMMAND) and /dev/stdin have names that are links.
	if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return Card{}, fmt.Errorf("%s is a named pipe: give a regular file or /dev/stdin", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return Card{}, err
	}
	defer file.Close()
	content, err := readAll(file)
	if err == nil {
		var card Card
		if card, err = Parse(bytes.NewReader(content)); err == nil {
			return card, nil
		}
	}
	return Card{}, fmt.Errorf("%s: %w", name, err)
}

// readAll reads a file of a length that a card or story can have.
func readAll(file *os.File) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("the file is longer than %d MiB", maxFileBytes>>20)
	}
	return content, err
}

// checkMarkdown returns an error where the Markdown would replace what is no card.
func checkMarkdown(name, markdownName string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil // no Markdown is written
	}
	info, err := os.Stat(markdownName)
	if err != nil || info.Mode().IsRegular() && info.Size() == 0 {
		return nil // what is wrong with the name, the write says
	}
	var start []byte
	if info.Mode().IsRegular() {
		file, err := os.Open(markdownName)
		if err != nil {
			return err
		}
		defer file.Close()
		start = make([]byte, len(markdownStart))
		_, _ = io.ReadFull(file, start) // what is short does not match
	}
	if string(start) != markdownStart {
		return fmt.Errorf("%s would be replaced by the Markdown of the card, and is something else: "+
			"give the card another name", markdownName)
	}
	return nil
}

// ReplaceFile writes a file as [WriteFile] writes that of the card, whatever was in it. It says whether
// that is a regular file, and not a pipe or the like.
func ReplaceFile(name string, content []byte) (regular bool, err error) {
	info, err := os.Stat(name)
	if err != nil { // there is no file, or the error comes again when it is written
		if link, err := os.Lstat(name); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			return true, overwrite(name, content)
		}
		return true, replace(name, nil, content)
	}
	for _, standard := range []*os.File{os.Stdout, os.Stderr} { // replaced, they would lose what follows
		if own, err := standard.Stat(); err == nil && os.SameFile(info, own) {
			_, err = standard.Write(content)
			return false, err
		}
	}
	if !info.Mode().IsRegular() {
		return false, overwrite(name, content)
	}
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return true, err
	}
	err = replace(target, info, content)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EROFS) {
		// The directory belongs to another user, or the file is a mount of its own.
		err = overwrite(target, content)
	}
	return true, err
}

// replace writes a temporary file and renames it. The old file is nil if there is none.
func replace(name string, old fs.FileInfo, content []byte) (err error) {
	dir, _ := filepath.Split(name) // not cleaned: a link and .. may lead elsewhere
	temporary := dir + fmt.Sprintf(".forkrig-%016x", rand.Uint64())
	// Not os.CreateTemp: its files are readable by their owner only.
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			e.Path = name // the user knows this one
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	_, err = file.Write(content)
	if err == nil && old != nil {
		if stat, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			_ = file.Chown(int(stat.Uid), int(stat.Gid)) // root of a user namespace may not
		}
		err = file.Chmod(old.Mode().Perm())
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

func overwrite(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}
