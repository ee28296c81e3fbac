// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"slices"
	"strings"
)

const (
	consoleLines = 20  // how many of the last lines are kept
	consoleWidth = 240 // how many bytes of each
)

// console keeps the last lines of what is written to it, however much that is.
type console struct {
	lines []string
	line  []byte // the one that has no end yet
	panic string // what the kernel said when it panicked, above a trace of its stack
}

func (c *console) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		c.line = append(c.line, part[:min(len(part), consoleWidth-len(c.line))]...)
		if p = rest; ended {
			c.end()
		}
	}
	return n, nil
}

func (c *console) end() {
	line := strings.TrimRight(strings.Map(printable, string(c.line)), " ")
	c.line = c.line[:0]
	if line == "" {
		return
	}
	if _, panic, found := strings.Cut(line, "Kernel panic"); found && c.panic == "" {
		c.panic = "Kernel panic" + panic
	}
	if len(c.lines) == consoleLines {
		c.lines = slices.Delete(c.lines, 0, 1)
	}
	c.lines = append(c.lines, line)
}

func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return -1
	}
	return r
}

// last returns the lines that are kept.
func (c *console) last() []string {
	c.end()
	return slices.Clone(c.lines)
}
