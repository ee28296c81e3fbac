// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newTerminal returns a terminal, and what its screen shows once it is closed.
func newTerminal(t *testing.T) (terminal *os.File, shown func() []string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("terminals cannot be opened here: %v", err)
	}
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}))
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(master) // ends with EIO when the terminal is closed
		text <- string(all)
	}()
	return terminal, func() []string {
		require.NoError(t, terminal.Close())
		return screenOf(<-text)
	}
}

var controls = regexp.MustCompile("\x1b\\[([0-9]*)([AJm])|\r?\n|[^\x1b\r\n]+")

// screenOf are the lines of a terminal that got this text.
func screenOf(text string) []string {
	lines, at := []string{""}, 0
	for _, m := range controls.FindAllStringSubmatch(text, -1) {
		switch {
		case m[2] == "A":
			up, _ := strconv.Atoi(m[1])
			at -= up
		case m[2] == "J":
			lines = append(lines[:at], "")
		case m[2] == "m":
		case strings.HasSuffix(m[0], "\n"):
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
		default:
			lines[at] += m[0]
		}
	}
	return lines
}

// TestFooterOnATerminal is below all that is printed, also errors, as wide as the terminal, and gone
// at the end.
func TestFooterOnATerminal(t *testing.T) {
	terminal, shown := newTerminal(t)
	t.Setenv("TERM", "xterm")
	out := newOutput(terminal)
	p := newProgress(out, time.Now().Add(-30*time.Second))
	p.Set(10, 40, "jobs"+strings.Repeat(" long", 40))
	_, _ = io.WriteString(p, "first\n")
	out.complain(errors.New("a signal"))
	_, _ = io.WriteString(p, "second\nthird\n")
	p.End()
	_, _ = io.WriteString(out, "after\n")
	assert.Equal(t, []string{"first", "forkrig: a signal", "second", "third", "after", ""}, shown())

	terminal, shown = newTerminal(t)
	p = newProgress(newOutput(terminal), time.Now().Add(-30*time.Second))
	p.Set(10, 40, "jobs")
	_, _ = io.WriteString(p, "first\n")
	assert.Equal(t, []string{"first", "10 of 40 jobs, 30s elapsed, about 1 min 30 s left", ""}, shown(), "while it goes on")
	p.End()
}

// TestNoFooterOnADumbTerminal, as before.
func TestNoFooterOnADumbTerminal(t *testing.T) {
	terminal, shown := newTerminal(t)
	t.Setenv("TERM", "dumb")
	p := newProgress(newOutput(terminal), time.Now().Add(-30*time.Second))
	p.Set(10, 40, "jobs")
	_, _ = io.WriteString(p, "first\n")
	p.End()
	assert.Equal(t, []string{"first", ""}, shown())
}
