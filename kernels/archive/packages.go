// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// pkg is one package of an index, with the fields that are used here.
type pkg struct {
	Name       string
	Version    string
	Depends    []string `json:",omitempty"` // names, the first of alternatives
	Provides   []string `json:",omitempty"`
	BuiltUsing string   `json:",omitempty"`
	Filename   string
	SHA256     string
}

// maxLine is the longest line of an index that is read.
const maxLine = 1 << 20

// eachStanza calls f with the fields of each stanza of a control file (deb822(5)). A field that
// goes on in lines that begin with a blank has the lines joined by newlines. The names of the
// fields are as written.
func eachStanza(r io.Reader, f func(fields map[string]string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	fields, last := map[string]string{}, ""
	end := func() error {
		if len(fields) == 0 {
			return nil
		}
		err := f(fields)
		fields, last = map[string]string{}, ""
		return err
	}
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "":
			if err := end(); err != nil {
				return err
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				return fmt.Errorf("line %d: a line that goes on, but no field", number)
			}
			fields[last] += "\n" + line[1:]
		default:
			name, value, found := strings.Cut(line, ":")
			if !found {
				return fmt.Errorf("line %d: no field: %.60q", number, line)
			}
			last = name
			fields[last] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return end()
}

// parsePackages reads the packages of an index for which keep is true. A nil keep keeps all.
func parsePackages(r io.Reader, keep func(name string) bool) ([]pkg, error) {
	var all []pkg
	err := eachStanza(r, func(fields map[string]string) error {
		p := pkg{
			Name:       fields["Package"],
			Version:    fields["Version"],
			Depends:    relations(fields["Pre-Depends"] + "," + fields["Depends"]),
			Provides:   relations(fields["Provides"]),
			BuiltUsing: fields["Built-Using"],
			Filename:   fields["Filename"],
			SHA256:     fields["SHA256"],
		}
		switch {
		case p.Name == "" || p.Version == "" || p.Filename == "" || !isSHA256(p.SHA256):
			return fmt.Errorf("package %q: a field is missing, of Package, Version, Filename and SHA256", p.Name)
		case keep == nil || keep(p.Name):
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// relations returns the names in a field such as Depends: of alternatives the first.
func relations(field string) []string {
	var names []string
	for one := range strings.SplitSeq(field, ",") {
		if end := strings.IndexAny(one, "|([:"); end >= 0 { // a colon as in python3:any
			one = one[:end]
		}
		if one = strings.TrimSpace(one); one != "" {
			names = append(names, one)
		}
	}
	return names
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
