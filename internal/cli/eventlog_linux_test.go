// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/schematest"
	"forkrig/scorecard"
)

// readEvents reads lines of events, each of the schema, in the order of time.
func readEvents(t *testing.T, text string) (all []scorecard.Event) {
	t.Helper()
	schema := schematest.Compile(t, "event.schema.json")
	last := time.Time{}
	for line := range strings.Lines(text) {
		var e scorecard.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		require.NoError(t, schema.Check(line), line)
		require.False(t, e.Time.Before(last), line)
		last = e.Time
		all = append(all, e)
	}
	return all
}

func typesOf(all []scorecard.Event) (types []scorecard.EventType) {
	for _, e := range all {
		types = append(types, e.Type)
	}
	return types
}

// TestEventsOfARun are in their order, and the card is in the XML of JUnit, too.
func TestEventsOfARun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events, junit := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "junit.xml")
	output, status := run(t, append([]string{"judge", "-v", "-events", events, "-junit", junit, "-checks", "reap,reuse-time-wait",
		"-family=4", "-parallel=1"}, wrongServer...)...)
	assert.Equal(t, statusWrong, status, output)
	assert.Contains(t, output, "1 pass, 1 fail", "people read as before")
	text, err := os.ReadFile(events)
	require.NoError(t, err)
	all := readEvents(t, string(text))
	types := slices.Compact(slices.DeleteFunc(typesOf(all), func(t scorecard.EventType) bool { return t == scorecard.JournalSays }))
	assert.Equal(t, []scorecard.EventType{scorecard.RunBegins, scorecard.ProfileFound, scorecard.CheckBegins, scorecard.CheckEnds,
		scorecard.CheckBegins, scorecard.CheckEnds, scorecard.CauseFound, scorecard.RunEnds}, types)
	assert.Contains(t, typesOf(all), scorecard.JournalSays, "with -v")
	begin, end := all[0].Run, all[len(all)-1].End
	assert.Equal(t, "judge", begin.Command)
	assert.Equal(t, 2, begin.Checks)
	assert.Positive(t, begin.Seed)
	assert.Equal(t, scorecard.RunEnd{Status: statusWrong, Complete: true, Counts: &scorecard.Counts{Pass: 1, Fail: 1}}, *end)

	text, err = os.ReadFile(junit)
	require.NoError(t, err)
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
	}
	require.NoError(t, xml.Unmarshal(text, &suites))
	assert.Equal(t, []int{2, 1, 0}, []int{suites.Tests, suites.Failures, suites.Errors})
}

// TestEventsOnStandardOutput leave nothing else there, also where it is named otherwise.
func TestEventsOnStandardOutput(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"-", "/dev/stdout"} {
		cmd := forkrig("judge", "-events", name, "-checks", "reap", "-family=4")
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		require.NoError(t, cmd.Run(), complaints.String())
		types := typesOf(readEvents(t, out.String()))
		assert.Equal(t, scorecard.RunBegins, types[0])
		assert.Equal(t, scorecard.RunEnds, types[len(types)-1])
		assert.Contains(t, complaints.String(), "1 pass, 0 fail")
	}
}

// TestEventsOfNoRun say why nothing could be judged.
func TestEventsOfNoRun(t *testing.T) {
	t.Parallel()
	cmd := forkrig("judge", "-events=-", "-checks=reap", "-family=4", "--", "false", "{port}")
	out, _ := cmd.Output()
	all := readEvents(t, string(out))
	require.Len(t, all, 2)
	assert.Equal(t, statusUnable, all[1].End.Status)
	assert.Equal(t, statusUnable, cmd.ProcessState.ExitCode())
	assert.Contains(t, all[1].End.Error, "the subject cannot be judged")
}

// TestEventsThatCannotBeWritten end the run with one error, and the card is kept.
func TestEventsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	kept := func(card string, complaints string) {
		t.Helper()
		assert.Equal(t, 1, strings.Count(complaints, "forkrig: "), complaints)
		assert.Contains(t, complaints, "forkrig: -events ")
		read, err := scorecard.ReadFile(card)
		require.NoError(t, err)
		assert.Equal(t, "an error of -events", read.EndedBy)
		assert.False(t, read.Complete)
	}
	card := filepath.Join(t.TempDir(), "card.json")
	cmd := forkrig("judge", "-events", "/dev/full", "-scorecard", card, "-checks", "reap,term", "-family=4")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	require.Error(t, cmd.Run())
	assert.Equal(t, statusUnable, cmd.ProcessState.ExitCode(), complaints.String())
	assert.Contains(t, complaints.String(), "no space left on device")
	kept(card, complaints.String())

	// A reader that has read enough.
	complaints.Reset()
	card = filepath.Join(t.TempDir(), "card.json")
	cmd = forkrig("judge", "-events", "-", "-scorecard", card, "-parallel=1", "-family=4")
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), `"type":"check-ends"`) {
	}
	require.NoError(t, out.Close())
	require.Error(t, cmd.Wait())
	assert.Equal(t, statusUnable, cmd.ProcessState.ExitCode(), complaints.String())
	assert.Contains(t, complaints.String(), "forkrig: -events -: write /dev/stdout: broken pipe")
	kept(card, complaints.String())
}

// TestEventsInANamedPipe need a reader.
func TestEventsInANamedPipe(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	output, status := run(t, "judge", "-checks", "reap", "-events", fifo)
	assert.Equal(t, statusUsage, status, output)
	assert.Contains(t, output, "-events: nothing reads the named pipe "+fifo+": start its reader first")

	reader, err := os.OpenFile(fifo, os.O_RDWR, 0) // which waits for no writer
	require.NoError(t, err)
	defer reader.Close()
	output, status = run(t, "judge", "-checks", "reap", "-family=4", "-events", fifo)
	assert.Equal(t, statusRight, status, output)
	text := ""
	for lines := bufio.NewScanner(reader); !strings.Contains(text, `"run-ends"`); {
		require.True(t, lines.Scan())
		text += lines.Text() + "\n"
	}
	readEvents(t, text)
}

// TestSearchTells how far it has come.
func TestSearchTells(t *testing.T) {
	t.Parallel()
	cmd := forkrig(append([]string{"search", "-events=-", "-schedules=2", "-family=4", "-service=echo"}, wrongServer...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, _ := cmd.Output()
	all := readEvents(t, string(out))
	types := slices.Compact(typesOf(all))
	require.Equal(t, []scorecard.EventType{scorecard.RunBegins, scorecard.SearchGoesOn}, types[:2], complaints.String())
	assert.Equal(t, scorecard.RunEnds, types[len(types)-1])
	assert.Equal(t, 2, all[1].Search.Of)
	assert.NotEmpty(t, complaints.String())
	assert.Equal(t, cmd.ProcessState.ExitCode(), all[len(all)-1].End.Status)
}
