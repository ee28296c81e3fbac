// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"forkrig/scorecard"
)

// bundle writes one archive to attach to a report: the page, the files that it shows, what forkrig
// doctor says of the machine, and the version. What could identify its sender is left out: see
// [hider].
func (r *reporting) writeBundle(b *pageBuilder, out io.Writer) error {
	page := new(bytes.Buffer)
	if err := b.page.WriteHTML(page); err != nil {
		return err
	}
	about, err := exec.Command("/proc/self/exe", "doctor").Output()
	if about = bytes.TrimSpace(about); len(about) == 0 {
		about = fmt.Appendf(nil, "forkrig doctor: %v", err)
	}
	h := newHider()
	file, err := os.Create(r.bundle)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	errs := []error{
		enter(archive, "report.html", h.hide(page.Bytes())),
		enter(archive, "doctor.txt", h.hide(append(about, '\n'))),
		enter(archive, "version.txt", h.hide([]byte(version()+"\n"))),
	}
	for i, name := range slices.Sorted(slices.Values(b.files)) {
		content, err := os.ReadFile(name)
		errs = append(errs, err, enter(archive, fmt.Sprintf("%d-%s", i+1, filepath.Base(name)), h.hide(content)))
	}
	if err := errors.Join(append(errs, archive.Close(), zipped.Close(), file.Close())...); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s; left out: %s. Look through it before you publish it: the subject's command and words are in it\n",
		scorecard.Printable(r.bundle), scorecard.Counted(len(b.files)+3, "file", "files"), h)
	return nil
}

// enter adds a file that all may read, without a time or an owner.
func enter(archive *tar.Writer, name string, content []byte) error {
	err := archive.WriteHeader(&tar.Header{Name: path.Join("forkrig-report", name), Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = archive.Write(content)
	}
	return err
}

// hider replaces the names that could identify the sender: the home directory, the directory in
// which the command was called, the user and the machine.
type hider struct {
	replacer *strings.Replacer
	hidden   []string // what, in words
}

// shortest is how long a name is at least that is looked for: a shorter one is part of other words.
const shortest = 4

func newHider() hider {
	var h hider
	var pairs []string
	hide := func(what, name, instead string) {
		if len(name) >= shortest && name != "root" && name != "/root" && name != "localhost" {
			pairs = append(pairs, name, instead)
			h.hidden = append(h.hidden, what)
		}
	}
	// The longest first: a replacer tries them in this order.
	if here, err := os.Getwd(); err == nil && strings.Count(here, "/") > 1 {
		hide("the working directory", here, "DIRECTORY")
	}
	if home, err := os.UserHomeDir(); err == nil {
		hide("the home directory", home, "HOME")
	}
	for _, variable := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		hide("the user", os.Getenv(variable), "USER")
	}
	if u, err := user.Current(); err == nil {
		hide("the user", u.Username, "USER")
	}
	if name, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(name, ".")
		hide("the machine's name", name, "MACHINE")
		hide("the machine's name", short, "MACHINE")
	}
	if program, err := os.Executable(); err == nil && strings.Count(program, "/") > 3 {
		hide("the program's directory", filepath.Dir(program), "PROGRAM")
	}
	h.hidden = slices.Compact(h.hidden)
	h.replacer = strings.NewReplacer(pairs...)
	return h
}

func (h hider) hide(content []byte) []byte { return []byte(h.replacer.Replace(string(content))) }

func (h hider) String() string {
	if len(h.hidden) == 0 {
		return "nothing, as no name of this machine is long enough to be found"
	}
	return strings.Join(h.hidden, ", ")
}
