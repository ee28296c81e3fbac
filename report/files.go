// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"forkrig/recorder"
)

// otherThanName are the characters of a label that a file's name does not have.
var otherThanName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// WriteFiles writes a recording into a directory, which it makes where there is none, in all its
// forms: NAME.html, NAME.json, NAME.pcapng, NAME.HOST.pcapng and NAME.perfetto-trace. NAME is the
// label with - for what a file's name does not have. It returns the path of the JSON, and replaces
// files of these names.
//
// In the capture of all hosts each packet is there twice, as both ends of its link saw it; that of
// the first host alone is for programs that analyse TCP.
func WriteFiles(directory, label string, recording recorder.Recording) (name string, err error) {
	if err := os.MkdirAll(directory, 0o777); err != nil {
		return "", err
	}
	base := filepath.Join(directory, otherThanName.ReplaceAllString(label, "-"))
	page := Page{Title: label, Pictures: []Picture{{Recording: recording}}}
	forms := map[string]func(io.Writer) error{
		".json": recording.WriteJSON, ".html": page.WriteHTML, ".pcapng": recording.WritePcapng, ".perfetto-trace": recording.WritePerfetto,
	}
	if len(recording.Hosts) > 0 {
		first := recording.Hosts[0].Name
		forms["."+otherThanName.ReplaceAllString(first, "-")+".pcapng"] = recording.SeenBy(first).WritePcapng
	}
	var errs []error
	for suffix, write := range forms {
		errs = append(errs, WriteFile(base+suffix, write))
	}
	return base + ".json", errors.Join(errs...)
}

// WriteFile makes a file, or empties one that is there, and has write fill it.
func WriteFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	return errors.Join(write(buffered), buffered.Flush(), file.Close())
}
