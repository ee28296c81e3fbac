// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/scorecard"
)

// TestFailsAreRecordedBesideTheCard, and forkrig report and show find the recordings.
func TestFailsAreRecordedBesideTheCard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	card := filepath.Join(dir, "card.json")
	output, status := run(t, append([]string{"judge", "-scorecard", card, "-checks", "reap,reuse-time-wait", "-family", "4"}, wrongServer...)...)
	require.Equal(t, statusWrong, status, output)
	read, err := scorecard.ReadFile(card)
	require.NoError(t, err)
	recordings := map[string]string{}
	for _, r := range read.Checks {
		recordings[r.Name] = r.Recording
	}
	assert.Equal(t, map[string]string{"reap": "", "reuse-time-wait": "card-recordings/reuse-time-wait-IPv4.json"}, recordings)
	base := filepath.Join(dir, "card-recordings", "reuse-time-wait-IPv4")
	for _, suffix := range []string{".html", ".pcapng", ".server.pcapng", ".perfetto-trace"} {
		assert.FileExists(t, base+suffix)
	}
	recording, err := recorder.ReadFile(base + ".json")
	require.NoError(t, err)
	assert.Equal(t, "fail", recording.Outcome.Verdict)
	assert.Positive(t, recording.Focus)
	assert.True(t, slices.ContainsFunc(recording.Connections, func(c recorder.Connection) bool {
		return slices.ContainsFunc(c.Server.States, func(s recorder.State) bool { return s.Name == "TIME_WAIT" })
	}), "the state that the check is about")

	output, status = run(t, "show", base+".json")
	assert.Equal(t, statusWrong, status)
	assert.Contains(t, output, "verdict  fail: ")
	output, _ = run(t, "show", card, "reuse-time-wait")
	assert.Contains(t, output, "picture    "+base+".html")

	page := filepath.Join(dir, "page.html")
	output, status = run(t, "report", "-o", page, card)
	assert.Equal(t, statusRight, status, output)
	assert.Contains(t, output, "1 card, 1 picture, 0 tables\n")
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(html), "reuse-time-wait")

	// A directory has the same, each once.
	output, status = run(t, "report", "-o", page, dir)
	assert.Equal(t, statusRight, status, output)
	assert.Contains(t, output, "1 card, 1 picture, 0 tables\n")

	// A recording that is gone is told.
	require.NoError(t, os.Remove(base+".json"))
	output, status = run(t, "report", "-o", page, card)
	assert.Equal(t, statusRight, status, output)
	assert.Contains(t, output, "1 card, 0 pictures, 0 tables\nnot shown: ")
}

// TestRecordAll records what passes, too, and a bundle has all of it without the directory's name.
func TestRecordAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recordings, card := filepath.Join(dir, "pictures"), filepath.Join(dir, "card.json")
	output, status := run(t, "judge", "-record", recordings, "-scorecard", card, "-checks", "reap", "-family", "4")
	require.Equal(t, statusRight, status, output)
	read, err := scorecard.ReadFile(card)
	require.NoError(t, err)
	require.Len(t, read.Checks, 1)
	assert.Equal(t, "pictures/reap-IPv4.json", read.Checks[0].Recording)
	assert.FileExists(t, filepath.Join(recordings, "preliminary-trial-IPv4.html"))

	cmd := forkrig("report", "-bundle", "bundle.tar.gz", "card.json")
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	files := unpacked(t, filepath.Join(dir, "bundle.tar.gz"))
	for _, name := range []string{"report.html", "doctor.txt", "version.txt", "1-card.json", "2-reap-IPv4.json"} {
		assert.Contains(t, files, "forkrig-report/"+name)
	}
	for name, content := range files {
		assert.NotEmpty(t, content, name)
		assert.NotContains(t, content, dir, name)
	}
	assert.Contains(t, files["forkrig-report/doctor.txt"], "sandbox")
}

func unpacked(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	files := map[string]string{}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

func TestReportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	damaged := write("damaged.json", `{"schema":1,"hosts":[],"events":[{"id":1,"at_ns":0,"kind":"note","process":7,"text":"x"}]}`)
	newer := write("newer.json", `{"schema":99,"hosts":[],"events":[]}`)
	other := write("other.json", `{"a":1}`)
	for _, v := range []struct {
		args []string
		says string
	}{
		{nil, "give a card, a recording, a story"},
		{[]string{"-o", "page.txt", damaged}, "-o page.txt: give a name that ends in .html"},
		{[]string{damaged}, "speaks of process 7, and has 0: it is damaged"},
		{[]string{newer}, "has schema 99, and this forkrig reads 1"},
		{[]string{other}, "other.json"},
		{[]string{filepath.Join(dir, "absent.json")}, "absent.json"},
		{[]string{"/dev/null"}, "/dev/null is not a regular file"},
		{[]string{write("x.pcapng", "x")}, "give the .json beside it"},
	} {
		output, status := run(t, append([]string{"report"}, v.args...)...)
		assert.Equal(t, statusUsage, status, "%v: %s", v.args, output)
		assert.Contains(t, output, v.says)
		assert.Equal(t, 1, strings.Count(output, "\n"), output)
	}
	assert.NoFileExists(t, "forkrig.html")
	empty := t.TempDir()
	output, status := run(t, "report", empty)
	assert.Equal(t, statusUsage, status)
	assert.Contains(t, output, "nothing to show in "+empty)
}

// TestRecordingsThatCannotBeKept: a directory that was asked for is refused before anything is
// judged, and without one the card is told all the same.
func TestRecordingsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	occupied := filepath.Join(dir, "card-recordings")
	require.NoError(t, os.WriteFile(occupied, nil, 0o666))
	for _, command := range []string{"judge", "search"} {
		output, status := run(t, command, "-record", occupied)
		assert.Equal(t, statusUsage, status, output)
		assert.Contains(t, output, "-record: ")
		assert.Contains(t, output, "give a directory that can be written into")
		assert.Equal(t, 1, strings.Count(output, "\n"), output)
	}
	output, status := run(t, append([]string{"judge", "-scorecard", filepath.Join(dir, "card.json"), "-checks", "reuse-time-wait", "-family", "4"}, wrongServer...)...)
	assert.Equal(t, statusWrong, status, output)
	assert.Contains(t, output, "0 pass, 1 fail, 0 broken, 0 skip")
	assert.Contains(t, output, "forkrig: keep the recording of reuse-time-wait IPv4: ")
}

// TestRecordingsBehindSymbolicLinks: the way from a card to its recordings is that of the
// directories, whatever the names by which they were reached.
func TestRecordingsBehindSymbolicLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cards := filepath.Join(dir, "far", "away")
	require.NoError(t, os.MkdirAll(cards, 0o777))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(cards, link))
	card := filepath.Join(link, "card.json")
	output, status := run(t, "judge", "-checks", "reap", "-family", "4", "-scorecard", card, "-record", filepath.Join(dir, "pictures"))
	require.Equal(t, statusRight, status, output)
	toCard := filepath.Join(dir, "card")
	require.NoError(t, os.Symlink(card, toCard))
	for _, name := range []string{filepath.Join(cards, "card.json"), card, toCard} {
		output, _ = run(t, "report", "-o", filepath.Join(dir, "page.html"), name)
		assert.Contains(t, output, "1 card, 1 picture, 0 tables\n", name)
		output, _ = run(t, "show", name, "reap")
		assert.Contains(t, output, "picture    "+filepath.Join(dir, "pictures", "reap-IPv4.html"), name)
	}
}

// TestRecordingsFollowTheCard: names are right however the two are given, old recordings go with
// the card that is replaced, and one of another run is not shown.
func TestRecordingsFollowTheCard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	judge := func(args ...string) {
		cmd := forkrig(append([]string{"judge", "-checks", "reuse-time-wait", "-family", "4"}, args...)...)
		cmd.Dir = dir
		text, err := cmd.CombinedOutput()
		assert.NotEmpty(t, text)
		if cmd.ProcessState.ExitCode() != statusWrong {
			require.NoError(t, err, "%s", text)
		}
		assert.Contains(t, string(text), "0 broken, 0 skip", "the card")
	}
	judge("-record", "pictures", "-scorecard", filepath.Join(dir, "right.json"))
	card, err := scorecard.ReadFile(filepath.Join(dir, "right.json"))
	require.NoError(t, err)
	assert.Equal(t, "pictures/reuse-time-wait-IPv4.json", card.Checks[0].Recording)

	// Another run into the same directory: the first card has no picture of its own any more.
	judge(append([]string{"-record", filepath.Join(dir, "pictures"), "-scorecard", "wrong.json"}, wrongServer...)...)
	output, status := run(t, "report", "-o", filepath.Join(dir, "page.html"), filepath.Join(dir, "right.json"))
	assert.Equal(t, statusRight, status)
	assert.Contains(t, output, "1 card, 0 pictures")
	assert.Contains(t, output, "it is of another run")

	judge(append([]string{"-scorecard", "mended.json"}, wrongServer...)...)
	kept := filepath.Join(dir, "mended-recordings", "reuse-time-wait-IPv4.json")
	assert.FileExists(t, kept)
	other := filepath.Join(dir, "mended-recordings", "notes.txt")
	require.NoError(t, os.WriteFile(other, nil, 0o666))
	output, status = run(t, "judge", "-scorecard", filepath.Join(dir, "mended.json"), "-baseline", filepath.Join(dir, "absent.json"))
	assert.Equal(t, statusUsage, status, output)
	assert.FileExists(t, kept, "the card is the old one, and so are its recordings")
	judge("-scorecard", "mended.json")
	assert.NoFileExists(t, kept)
	assert.FileExists(t, other)

	output, status = run(t, "report", "-bundle", filepath.Join(dir, "mended.json"), filepath.Join(dir, "mended.json"))
	assert.Equal(t, statusUsage, status)
	assert.Contains(t, output, "give a name that ends in .tar.gz")
	output, status = run(t, "report", "-o", "x.html", "-bundle", "x.tgz", filepath.Join(dir, "mended.json"))
	assert.Equal(t, statusUsage, status)
	assert.Contains(t, output, "-o and -bundle exclude each other")
}
