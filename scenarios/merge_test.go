package scenarios

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/scorecard"
)

var mergeFlag = flag.String("merge", "", "merge the scorecards and failing stories that runs left below the directories that follow, into this new `directory`,\n"+
	"and exit: 0 if all shards are there and nothing failed, 1 if not, 2 if they cannot be merged; needs no privilege")

// mergeIfAsked merges what shards left, and ends the process. It does so before
// there is a sandbox, for it needs none: what was judged with privileges can be
// merged without.
func mergeIfAsked() {
	if rig.InProgram() {
		return
	}
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "merge" })
	if !asked {
		return
	}
	status, err := merge(os.Stdout, *mergeFlag, flag.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %s\n", scorecard.Printable(err.Error()))
		status = 2
	}
	os.Exit(status)
}

// merge merges the directories and tells what came of it.
func merge(w io.Writer, out string, directories []string) (status int, err error) {
	if out == "" || len(directories) == 0 {
		return 0, errors.New("-merge: give the directory to write, and then those to merge: -merge OUT DIR…")
	}
	shards, err := scorecard.MergeDirectories(out, directories...)
	if err != nil {
		return 0, err
	}
	line := func(format string, args ...any) {
		fmt.Fprintln(w, scorecard.Printable(fmt.Sprintf(format, args...)))
	}
	line("%s", shards.Card.Subject)
	line("%s\n", shards.Card.Origin())
	file, _ := w.(*os.File)
	if err := shards.Card.WriteTable(w, file != nil && scorecard.Colour(file)); err != nil {
		return 0, err
	}
	for _, s := range shards.Sources {
		if !s.Card.OK() {
			line("not right: %s: %s", s.Name, s.Card.Summary(false))
		}
	}
	for _, dir := range shards.Without {
		line("no scorecard: %s: the run did not come to its end", dir)
	}
	for _, name := range shards.Stories {
		line("failing story: %s", name)
	}
	line("merged into %s", out)
	if !shards.OK() {
		return 1, nil
	}
	return 0, nil
}

func TestMergeTellsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	leave := func(shard string, verdict scorecard.Verdict) string {
		part, err := scorecard.ParseShard(shard)
		require.NoError(t, err)
		dir := filepath.Join(in, strings.ReplaceAll(shard, "/", "-"))
		require.NoError(t, os.Mkdir(dir, 0o777))
		card := scorecard.Card{Subject: "s", Shard: part, Complete: true, Checks: []scorecard.Result{{Name: "search", Verdict: verdict}}}
		require.NoError(t, writeFile(filepath.Join(dir, scorecard.CardFile), os.O_TRUNC, card.WriteJSON))
		return dir
	}
	first, second, third := leave("0/3", scorecard.Pass), leave("1/3", scorecard.Fail), leave("2/3", scorecard.Pass)
	require.NoError(t, os.WriteFile(filepath.Join(second, "story-1\x1b[2J.md"), nil, 0o666))
	for _, v := range []struct {
		name        string
		directories []string
		status      int
		says, hides string
	}{
		{"all", []string{first, second, third}, 1, "in 1 of 3 runs", "missing"},
		{"the story", []string{second}, 1, `failing story: ` + in + `/1-out/story-1\x1b[2J.md`, "\x1b"},
		{"a missing one", []string{first, third}, 1, "shards missing: 1 of 3", "not right"},
	} {
		t.Run(v.name, func(t *testing.T) {
			var b strings.Builder
			out := filepath.Join(in, fmt.Sprint(len(v.directories), "-out"))
			status, err := merge(&b, out, v.directories)
			require.NoError(t, err)
			assert.NoError(t, os.RemoveAll(out))
			assert.Equal(t, v.status, status)
			assert.Contains(t, b.String(), v.says)
			assert.NotContains(t, b.String(), v.hides)
		})
	}
	_, err := merge(io.Discard, "", nil)
	assert.ErrorContains(t, err, "-merge OUT DIR…")
}
