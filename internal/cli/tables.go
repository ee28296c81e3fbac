// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"forkrig/kernels"
	"forkrig/scorecard"
)

// checkTableFile refuses a name under which a table cannot be written: better now than when all
// kernels have run.
func checkTableFile(name string) error {
	if name == "" {
		return nil
	}
	if strings.EqualFold(filepath.Ext(name), ".md") {
		return fmt.Errorf("%s: give the name of the JSON file; the Markdown is written beside it", name)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return file.Close()
}

// writeTable writes a table as JSON, and as Markdown beside it, as [scorecard.WriteFile] writes a card.
func writeTable(name string, table kernels.Table, command func(args ...string) string) error {
	var text, markdown bytes.Buffer
	if err := errors.Join(table.WriteJSON(&text), table.WriteMarkdown(&markdown, command)); err != nil {
		return err
	}
	regular, err := scorecard.ReplaceFile(name, text.Bytes())
	if err == nil && regular {
		_, err = scorecard.ReplaceFile(scorecard.MarkdownName(name), markdown.Bytes())
	}
	return err
}

// askAgain returns how the command is written that asks again for a cell of a table that was read.
func askAgain(table kernels.Table) func(args ...string) string {
	return func(args ...string) string {
		command := "forkrig kernels " + strings.Join(args, " ")
		if table.Subject != "" {
			command += " -- " + table.Subject
		}
		return command
	}
}

// showTable prints a table of kernels.
func (o *output) showTable(args []string) (status int, err error) {
	table, err := kernels.Read(args[0])
	if err == nil && len(args) > 1 {
		err = fmt.Errorf("%s is a table of kernels and not a card: omit %q", args[0], args[1])
	}
	if err != nil {
		return statusUsage, err
	}
	_ = table.WriteMarkdown(o, askAgain(table)) // o knows an error
	return statusOfColumns(table.Kernels), nil
}

// diffTables prints how two tables of kernels differ. The status says whether a card became worse.
func (o *output) diffTables(args []string) (status int, err error) {
	tables, err := readTables(args)
	if err != nil {
		return statusUsage, err
	}
	difference := kernels.Diff(tables[0], tables[1])
	_ = difference.WriteText(o, o.style()) // o knows an error
	return statusOf(!difference.Worse()), nil
}

// mergeTables writes a new file, the first of the arguments, with the kernels of several tables.
func (o *output) mergeTables(args []string) (status int, err error) {
	out := args[0]
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return statusUsage, fmt.Errorf("merge: %s is there already: give the name of a new file, or remove it", out)
	}
	tables, err := readTables(args[1:])
	if err != nil {
		return statusUsage, err
	}
	table, err := kernels.Merge(tables...)
	if err == nil {
		err = checkTableFile(out)
	}
	if err == nil {
		err = writeTable(out, table, askAgain(table))
	}
	if err != nil {
		return statusUsage, fmt.Errorf("merge: %w", err)
	}
	_ = table.WriteMarkdown(o, askAgain(table)) // o knows an error
	fmt.Fprintln(o, scorecard.Printable("\nmerged into "+out))
	return statusOfColumns(table.Kernels), nil
}

func readTables(names []string) (tables []kernels.Table, err error) {
	for _, name := range names {
		table, err := kernels.Read(name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, nil
}

// areTables says whether one of the files is a table of kernels, so that all of them have to be.
func areTables(names []string) bool { return slices.ContainsFunc(names, kernels.IsTable) }
