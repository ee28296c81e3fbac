// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

// Schema is the version of the JSON form of a [Table].
const Schema = 1

// Table is what several kernels answered.
type Table struct {
	Schema  int      `json:"schema"`
	Made    string   `json:"made"` // the day, as 2006-01-02
	Subject string   `json:"subject,omitempty"`
	Kernels []Column `json:"kernels"`
}

// NewTable returns a table of today.
func NewTable(subject string, columns []Column) Table {
	return Table{Schema: Schema, Made: time.Now().UTC().Format(time.DateOnly), Subject: subject, Kernels: columns}
}

// Column is what one kernel answered.
type Column struct {
	Kernel  string `json:"kernel"`            // the name that it was asked for by, such as "6.12"
	Found   string `json:"found,omitempty"`   // the kernel that the name means, such as "6.12.43"
	Release string `json:"release,omitempty"` // what it calls itself
	Booted  string `json:"booted,omitempty"`  // by what
	Boot    int64  `json:"boot_ms"`           // until the first job
	Wall    int64  `json:"wall_ms"`           // until the end
	// Lost says why no more is known of it; "" where all its jobs were done.
	Lost    string           `json:"lost,omitempty"`
	Console []string         `json:"console,omitempty"` // its last lines, where it was lost
	Notes   []string         `json:"notes,omitempty"`   // what went wrong and ended nothing
	Absent  []string         `json:"absent,omitempty"`  // modules that it lacks
	Answers []probes.Answer  `json:"answers,omitempty"`
	Binds   []probes.BindRow `json:"binds,omitempty"`
	Tests   []TestRun        `json:"tests,omitempty"`
	Card    *scorecard.Card  `json:"card,omitempty"`

	asked []string // probes without an answer yet
}

// Name returns what the kernel is called in tables: the one that was found, if any was.
func (c Column) Name() string { return cmp.Or(c.Found, c.Kernel) }

// path is the name by which the kernel is found again: a release, or the path of a file.
func (c Column) path() string {
	if strings.Contains(c.Kernel, "/") {
		return c.Kernel
	}
	return c.Name()
}

// enter adds a line to what is known.
func (c *Column) enter(l Line) {
	switch {
	case l.Asked != "":
		c.asked = append(c.asked, l.Asked)
	case l.Answer != nil:
		c.asked = slices.DeleteFunc(c.asked, func(id string) bool { return id == l.Answer.ID })
		c.Answers = append(c.Answers, *l.Answer)
	case l.Bind != nil:
		c.Binds = append(c.Binds, *l.Bind)
	case l.Card != nil:
		c.Card = l.Card
	case l.Result != nil:
		if c.Card == nil {
			c.Card = &scorecard.Card{EndedBy: "the end of the kernel"}
		}
		c.Card.Checks = append(c.Card.Checks, *l.Result)
	}
}

// Right says whether no test failed, and no check failed or is broken.
func (c Column) Right() bool {
	if slices.ContainsFunc(c.Tests, func(t TestRun) bool { return !t.right() }) {
		return false
	}
	if c.Card == nil {
		return true
	}
	n := c.Card.Counts()
	return n.Fail+n.Broken == 0
}

// WriteJSON writes the table.
func (t Table) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(t)
}

// Read reads a table from a file. The error says what is wrong with it.
func Read(name string) (t Table, err error) {
	text, err := read(name)
	if err != nil {
		return t, err
	}
	const remedy = "give a file that forkrig kernels -json has written"
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("%s is not a table of kernels: %w: %s", name, err, remedy)
	}
	switch {
	case t.Schema < 1 || len(t.Kernels) == 0:
		return t, fmt.Errorf("%s is not a table of kernels: it has no schema or no kernel: %s", name, remedy)
	case t.Schema > Schema:
		return t, fmt.Errorf("%s has schema %d, this forkrig knows up to %d: use a newer one", name, t.Schema, Schema)
	}
	return t, nil
}

// IsTable says whether the file means to be a table of kernels, and not a scorecard.
func IsTable(name string) bool {
	text, err := read(name)
	var t struct{ Kernels json.RawMessage }
	return err == nil && json.Unmarshal(text, &t) == nil && t.Kernels != nil
}

// read returns the content of a regular file of a size that tables have.
func read(name string) ([]byte, error) {
	const maxBytes = 64 << 20
	info, err := os.Stat(name) // before it is opened: a named pipe would wait for its other end
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return nil, fmt.Errorf("%s is not a regular file of at most %d MiB", name, maxBytes>>20)
	}
	return os.ReadFile(name)
}

// Merge returns a table with the columns of all tables. The error says that they are of different
// subjects, or have the same kernel twice.
func Merge(tables ...Table) (all Table, err error) {
	for i, t := range tables {
		if i == 0 {
			all = t
			all.Kernels = nil
		}
		if t.Subject != all.Subject {
			return all, fmt.Errorf("the tables are of different subjects: %q and %q", all.Subject, t.Subject)
		}
		for _, c := range t.Kernels {
			if slices.ContainsFunc(all.Kernels, func(k Column) bool { return k.Name() == c.Name() && k.Release == c.Release }) {
				return all, fmt.Errorf("two tables have the kernel %s: omit one of them", c.Name())
			}
			all.Kernels = append(all.Kernels, c)
		}
		all.Made = max(all.Made, t.Made)
	}
	if len(all.Kernels) == 0 {
		return all, errors.New("there is no kernel in the tables")
	}
	return all, nil
}
