// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"slices"
	"strings"

	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

// Row is a question and what the kernels of a table answered, in the order of their columns.
type Row struct {
	Name   string // of the question
	Source string // of the change, where it is known
	Cells  []string
	// Unexplained are the columns whose answer their release does not explain: a kernel that has
	// the change answers as one without it, or the other way round.
	Unexplained []bool
	// Repeat are the arguments that ask this question alone.
	Repeat []string
}

// Nothing is the cell of a kernel of which the answer is not known.
const Nothing = "–"

// shows says whether the row is worth a reader's time: two kernels gave different answers, or there
// is only one kernel.
func (r Row) shows() bool {
	known := slices.DeleteFunc(slices.Clone(r.Cells), func(cell string) bool { return cell == Nothing })
	return len(r.Cells) == 1 || slices.ContainsFunc(known, func(cell string) bool { return cell != known[0] })
}

// asks returns a row for each key that a column has, in the order in which they come first.
func (t Table) asks(answers func(Column) (keys []string, cells map[string]string)) []Row {
	var rows []Row
	at := map[string]int{}
	for i, c := range t.Kernels {
		keys, cells := answers(c)
		for _, key := range keys {
			row, known := at[key]
			if !known {
				row = len(rows)
				at[key] = row
				rows = append(rows, Row{Name: key, Cells: slices.Repeat([]string{Nothing}, len(t.Kernels))})
			}
			rows[row].Cells[i] = cells[key]
		}
	}
	return rows
}

// Probes returns the probes in which kernels differ, and how many answered the same on all.
func (t Table) Probes() (rows []Row, same int) {
	about := map[string]probes.Answer{}
	all := t.asks(func(c Column) (keys []string, cells map[string]string) {
		cells = map[string]string{}
		for _, a := range c.Answers {
			about[a.ID] = a
			keys = append(keys, a.ID)
			cells[a.ID] = a.String()
		}
		return keys, cells
	})
	for _, row := range all {
		if !row.shows() {
			same++
			continue
		}
		a := about[row.Name]
		row.Repeat = []string{"-jobs", "probes", "-probes", a.ID}
		row.Name, row.Source = a.ID+" "+a.Name, a.Source
		row.Unexplained = t.unexplained(a.ID, row.Cells)
		rows = append(rows, row)
	}
	return rows, same
}

// tells says whether a cell is an answer of the kernel.
func tells(cell string) bool {
	return cell != Nothing && !strings.HasPrefix(cell, "missing: ") && !strings.HasPrefix(cell, "broken: ")
}

// unexplained says which columns answer otherwise than most of those that have the change, or
// that do not have it, as they do. It is nil where the releases of the change are not known.
func (t Table) unexplained(id string, cells []string) []bool {
	change, known := changes[id]
	if !known {
		return nil
	}
	usual := map[bool]map[string]int{true: {}, false: {}}
	has, told := make([]bool, len(cells)), make([]bool, len(cells))
	for i, c := range t.Kernels {
		r, ok := c.releaseOf()
		has[i], told[i] = r.has(change), ok && tells(cells[i])
		if told[i] {
			usual[has[i]][cells[i]]++
		}
	}
	odd := make([]bool, len(cells))
	for i, cell := range cells {
		for other, n := range usual[has[i]] {
			odd[i] = odd[i] || told[i] && other != cell && n > usual[has[i]][cell]
		}
		// What is usual without the change is odd with it.
		odd[i] = odd[i] || told[i] && usual[!has[i]][cell] > usual[has[i]][cell]
	}
	return odd
}

// Binds returns the rows of the bind table in which kernels differ, and how many are the same.
func (t Table) Binds() (rows []Row, same int) {
	all := t.asks(func(c Column) (keys []string, cells map[string]string) {
		cells = map[string]string{}
		for _, row := range c.Binds {
			key := strings.TrimSpace(strings.TrimSuffix(row.String(), row.Answers))
			keys = append(keys, key)
			cells[key] = row.Answers
		}
		return keys, cells
	})
	for _, row := range all {
		if !row.shows() {
			same++
			continue
		}
		row.Repeat = []string{"-jobs", "binds"}
		rows = append(rows, row)
	}
	return rows, same
}

// Checks returns the checks in which kernels differ or that fail or are broken on one, and how many
// others there are. A check has one row where both families have the same verdicts.
func (t Table) Checks() (rows []Row, same int) {
	all := t.asks(func(c Column) (keys []string, cells map[string]string) {
		cells = map[string]string{}
		if c.Card == nil {
			return nil, nil
		}
		for _, r := range c.Card.Checks {
			key := r.Name + " " + r.Family
			keys = append(keys, key)
			cells[key] = verdict(r)
		}
		return keys, cells
	})
	for i := 0; i < len(all); i++ {
		row := all[i]
		name, family, _ := strings.Cut(row.Name, " ")
		row.Repeat = []string{"-jobs", "card", "-checks", name}
		if i+1 < len(all) && strings.HasPrefix(all[i+1].Name, name+" ") && slices.Equal(row.Cells, all[i+1].Cells) {
			row.Name = name
			i++
		} else {
			row.Repeat = append(row.Repeat, "-family", strings.TrimPrefix(family, "IPv"))
		}
		if row.shows() || slices.ContainsFunc(row.Cells, wrong) {
			rows = append(rows, row)
		} else {
			same++
		}
	}
	return rows, same
}

// wrong says whether the cell of a check makes a run fail.
func wrong(cell string) bool {
	v, _, _ := strings.Cut(cell, " ")
	return v == string(scorecard.Fail) || v == string(scorecard.Broken)
}

// verdict is a cell: a verdict with what was found, or with the feature that the kernel lacks.
func verdict(r scorecard.Result) string {
	text := string(r.Verdict)
	if len(r.Findings) > 0 {
		text += " (" + strings.Join(r.Findings, ", ") + ")"
	}
	if r.Missing != "" {
		text += " (no " + r.Missing + ")"
	}
	return text
}
