// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

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
	forms := []func(io.Writer) error{recording.WriteJSON, page.WriteHTML, recording.WritePcapng, recording.WritePerfetto}
	if len(recording.Hosts) > 0 {
		forms = append(forms, recording.SeenBy(recording.Hosts[0].Name).WritePcapng)
	}
	for i, suffix := range suffixes(recording) {
		if err := WriteFile(base+suffix, forms[i]); err != nil {
			return "", err
		}
	}
	return base + ".json", nil
}

// WriteFile makes a file, or replaces one that is there, and has write fill it. An error leaves the
// old one.
func WriteFile(name string, write func(io.Writer) error) error {
	part := name + ".part"
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	if err = write(buffered); err == nil {
		err = buffered.Flush()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		_ = os.Remove(part) // the error that is told came first
	}
	return err
}

// RemoveFiles removes what [WriteFiles] has written into a directory, and the directory where it
// has nothing else.
func RemoveFiles(directory string) {
	entries, _ := os.ReadDir(directory) // none where there is no such directory
	for _, entry := range entries {
		base, isJSON := strings.CutSuffix(filepath.Join(directory, entry.Name()), ".json")
		if !isJSON || !entry.Type().IsRegular() {
			continue
		}
		recording, err := recorder.ReadFile(base + ".json")
		if err != nil {
			continue // it is none of ours
		}
		for _, suffix := range suffixes(recording) {
			_ = os.Remove(base + suffix) // one that is not there is no error
		}
	}
	if len(entries) > 0 {
		_ = os.Remove(directory) // an error: there is something else in it
	}
}

// suffixes are those of the names of a recording's files.
func suffixes(r recorder.Recording) []string {
	all := []string{".json", ".html", ".pcapng", ".perfetto-trace"}
	if len(r.Hosts) > 0 {
		all = append(all, "."+otherThanName.ReplaceAllString(r.Hosts[0].Name, "-")+".pcapng")
	}
	return all
}
