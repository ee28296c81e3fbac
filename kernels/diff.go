// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"forkrig/scorecard"
)

// Change is a question that one kernel answers otherwise than before.
type Change struct{ Question, Old, New string }

// KernelDifference is what two tables say differently of one kernel.
type KernelDifference struct {
	Kernel        string
	Old, New      string // what was found by this name
	Probes, Binds []Change
	Card          *scorecard.Difference // nil where one of the tables has no card
	CardLost      bool                  // the old table has a card, the new one has not
}

// Difference is what two tables say differently, see [Diff].
type Difference struct {
	Kernels []KernelDifference // those that both tables have, in the order of the new one
	Removed []string           // those that only the old table has
	Added   []string           // those that only the new table has
}

// Diff compares two tables, kernel by kernel, by the names that were asked for: 6.12 of the old table
// may be an earlier update than 6.12 of the new one. Answers that one of them does not have, or that
// say nothing of the kernel, are not compared.
func Diff(old, new Table) (d Difference) {
	for _, c := range new.Kernels {
		i := slices.IndexFunc(old.Kernels, c.sameKernel)
		if i < 0 {
			d.Added = append(d.Added, c.Kernel)
			continue
		}
		d.Kernels = append(d.Kernels, old.Kernels[i].diff(c))
	}
	for _, c := range old.Kernels {
		if !slices.ContainsFunc(new.Kernels, c.sameKernel) {
			d.Removed = append(d.Removed, c.Kernel)
		}
	}
	return d
}

func (c Column) sameKernel(other Column) bool { return c.Kernel == other.Kernel }

func (c Column) diff(new Column) KernelDifference {
	d := KernelDifference{Kernel: c.Kernel, Old: c.called(), New: new.called(), CardLost: c.Card != nil && new.Card == nil}
	pair := Table{Kernels: []Column{c, new}}
	probes, _ := pair.Probes()
	binds, _ := pair.Binds()
	d.Probes, d.Binds = changed(probes), changed(binds)
	if c.Card != nil && new.Card != nil {
		difference := scorecard.Diff(*c.Card, *new.Card)
		d.Card = &difference
		d.CardLost = len(new.Card.Checks) == 0 && len(c.Card.Checks) > 0
	}
	return d
}

// called is how the kernel's version is shown.
func (c Column) called() string {
	if c.Found != "" && c.Found != c.Kernel {
		return c.Found
	}
	return c.Release
}

// changed returns the rows of two columns in which both tell something.
func changed(rows []Row) (all []Change) {
	for _, row := range rows {
		if tells(row.Cells[0]) && tells(row.Cells[1]) {
			all = append(all, Change{row.Name, row.Cells[0], row.Cells[1]})
		}
	}
	return all
}

// Worse says whether a card became worse, or is not there any more.
func (d Difference) Worse() bool {
	return slices.ContainsFunc(d.Kernels, func(k KernelDifference) bool {
		return k.CardLost || k.Card != nil && k.Card.Worse()
	})
}

// WriteText writes the changes for a terminal or a log.
func (d Difference) WriteText(w io.Writer, style scorecard.Style) error {
	var b bytes.Buffer
	for i, k := range d.Kernels {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, oneLine(k.title()))
		for _, changes := range [][]Change{k.Probes, k.Binds} {
			for _, c := range changes {
				fmt.Fprintf(&b, "  %s\n    %s → %s\n", oneLine(c.Question), oneLine(c.Old), oneLine(c.New))
			}
		}
		if k.CardLost {
			b.WriteString("  worse: the new table has no verdict of this kernel\n")
		}
		if k.Card != nil {
			_ = k.Card.WriteText(&b, style) // a buffer has no error
		}
	}
	for i, names := range [][]string{d.Removed, d.Added} {
		if len(names) > 0 {
			fmt.Fprintf(&b, "\nonly in the %s table: %s\n", []string{"old", "new"}[i], oneLine(strings.Join(names, ", ")))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (k KernelDifference) title() string {
	text := k.Kernel
	if k.Old != k.New {
		text += fmt.Sprintf(" (%s → %s)", k.Old, k.New)
	}
	if len(k.Probes)+len(k.Binds) == 0 {
		return text + ": all answers are the same"
	}
	return fmt.Sprintf("%s: %d probes and %d rows of the bind table have other answers", text, len(k.Probes), len(k.Binds))
}
