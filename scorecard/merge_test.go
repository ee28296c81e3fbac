// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shard returns a card of one check.
func shard(name string, seed uint64, v Verdict, observed string) Card {
	return Card{Subject: "./server", Kernel: "6.12.0", Machine: "2 processors", Seed: seed, Shard: part(name), Complete: true, Checks: []Result{{
		Name: "search", Family: "IPv4", Verdict: v, Expected: "no story fails", Observed: observed, Remedy: "because",
		Evidence: []string{"seen: " + observed}, Reproduce: "repeat " + observed, Duration: time.Second,
	}}}
}

// part is a shard from its text; "" is none.
func part(text string) (s Shard) {
	if err := s.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return s
}

func named(cards ...Card) (all []Source) {
	for i, c := range cards {
		all = append(all, Source{string(rune('a' + i)), c})
	}
	return all
}

func TestMergeKeepsTheWorst(t *testing.T) {
	merged, err := merge(named(
		shard("0/4", 11, Pass, "first"), shard("1/4", 12, Broken, "second"),
		shard("2/4", 13, Fail, "third"), shard("3/4", 14, Fail, "fourth"))...)
	require.NoError(t, err)
	want := shard("", 11, Fail, "third")
	want.Checks[0].Duration, want.Checks[0].Runs = 4*time.Second, Counts{Pass: 1, Broken: 1, Fail: 2}
	want.Runs = []Run{
		{Shard: part("0/4"), Seed: 11, Kernel: "6.12.0", Machine: "2 processors"}, {Shard: part("1/4"), Seed: 12, Kernel: "6.12.0", Machine: "2 processors"},
		{Shard: part("2/4"), Seed: 13, Kernel: "6.12.0", Machine: "2 processors"}, {Shard: part("3/4"), Seed: 14, Kernel: "6.12.0", Machine: "2 processors"},
	}
	assert.Equal(t, want, merged)
	missing, of := merged.missingShards()
	assert.Empty(t, missing)
	assert.Equal(t, 4, of)
	assert.Equal(t, "4 runs on kernel 6.12.0, 2 processors, first seed 11", merged.Origin())
	assert.False(t, merged.OK())

	var table, markdown bytes.Buffer
	require.NoError(t, merged.WriteText(&table, Style{Columns: 100}))
	assert.Contains(t, table.String(), "search  fail  in 2 of 4 runs: because\n")
	assert.Contains(t, table.String(), "\nsearch over IPv4: fail in 2 of 4 runs\n")
	require.NoError(t, merged.WriteMarkdown(&markdown))
	assert.Contains(t, markdown.String(), "\n| 2/4 | 13 | 6.12.0 | 2 processors |\n")
	requireAllPrintable(t, merged)
}

func TestMergeSaysWhatDiffers(t *testing.T) {
	other := shard("4/9", 2, Pass, "x")
	other.Kernel, other.Machine = "6.18.1", "8 processors"
	other.Checks = append(other.Checks, Result{Name: "more", Family: "IPv6", Verdict: Skip})
	merged, err := merge(named(shard("1/9", 1, Pass, "x"), other, shard("", 3, Pass, "not divided"))...)
	require.NoError(t, err)
	assert.Equal(t, "6.12.0 and 6.18.1", merged.Kernel)
	assert.Equal(t, "2 processors and 8 processors", merged.Machine)
	assert.Equal(t, Counts{Skip: 1}, merged.Checks[1].Runs, "a check that one run made")
	missing, of := merged.missingShards()
	assert.Equal(t, []int{0, 2, 3, 5, 6, 7, 8}, missing)
	assert.Equal(t, 9, of)
	assert.Equal(t, "3 runs on kernel 6.12.0 and 6.18.1, 2 processors and 8 processors, first seed 1, shards missing: 0, 2-3, 5-8 of 9", merged.Origin())
	assert.True(t, merged.OK())
}

// TestMergeOfIncompleteCards: the merged card is as incomplete as its runs.
func TestMergeOfIncompleteCards(t *testing.T) {
	cutShort := func(name, by string) Card {
		c := shard(name, 1, Pass, "x")
		c.Complete, c.EndedBy = false, by
		return c
	}
	merged, err := merge(named(shard("0/4", 1, Pass, "x"), cutShort("1/4", "SIGINT"), cutShort("2/4", "-within 2m"), cutShort("3/4", "SIGINT"))...)
	require.NoError(t, err)
	assert.Equal(t, Run{part("1/4"), 1, "6.12.0", "2 processors", true, "SIGINT"}, merged.Runs[1])
	assert.False(t, merged.OK())
	assert.Equal(t, "1 pass, 0 fail, 0 broken, 0 skip; incomplete: ended by SIGINT and -within 2m", merged.Summary(false))
}

// TestMergeOfRealCards merges those that every form is tested with, twice over.
func TestMergeOfRealCards(t *testing.T) {
	for name, card := range cards {
		t.Run(name, func(t *testing.T) {
			again := card
			again.Seed++
			merged, err := merge(named(card, again)...)
			require.NoError(t, err)
			require.Len(t, merged.Checks, len(card.Checks))
			for i, r := range merged.Checks {
				assert.Equal(t, card.Checks[i].runs().worst(), r.Verdict)
				assert.Equal(t, 2, r.Runs.of(r.Verdict))
				assert.Equal(t, 2*card.Checks[i].Duration, r.Duration)
			}
			requireAllPrintable(t, merged)
		})
	}
}

func TestMergeRefusesContradictions(t *testing.T) {
	change := func(c Card, f func(*Card)) Card { f(&c); return c }
	first := shard("0/4", 1, Pass, "x")
	for want, cards := range map[string][]Card{
		"there is no card": nil,
		`field "subject" is "./server" in a and "\x1b[31m" in b; merge cards of the same search only`: {
			first, change(shard("1/4", 1, Pass, "x"), func(c *Card) { c.Subject = "\x1b[31m" })},
		`field "expected" of check "search" is "no story fails" in a and "other" in b; merge cards of the same search only`: {
			first, change(shard("1/4", 1, Pass, "x"), func(c *Card) { c.Checks[0].Expected = "other" })},
		`field "shard" is "…/4" in b and "2/5" in c; merge cards of the same search only`: {
			shard("", 1, Pass, "x"), first, shard("2/5", 1, Pass, "x")},
		`c and a are the same: field "shard" is "0/4" in both; leave one out`: {first, shard("1/4", 1, Pass, "x"), shard("0/4", 2, Pass, "x")},
		`b and a are the same card: leave one out`:                            {shard("", 1, Pass, "x"), shard("", 1, Pass, "x")},
	} {
		merged, err := merge(named(cards...)...)
		assert.EqualError(t, err, "merge scorecards: "+want)
		assert.Zero(t, merged)
	}
}

func TestNumbers(t *testing.T) {
	assert.Equal(t, "1-3, 5 and 7 more", strings.Replace(numbers([]int{1, 2, 3, 5}), "5", "5 and 7 more", 1))
	var odd []int
	for i := range 30 {
		odd = append(odd, 2*i+1)
	}
	assert.True(t, strings.HasSuffix(numbers(odd), "37, 39 and 10 more"), numbers(odd))
	assert.Equal(t, "", numbers(nil))
}

func TestParseOptionalFields(t *testing.T) {
	const merged = `"seed": 1, "shard": "1/2", "machine": "m", "runs": [{"shard": "1/2", "seed": 1, "kernel": "k", "machine": "m"}]`
	const counted = `"findings": [], "duration_ms": 0.5, "runs": {"pass": 2, "warn": 0, "by-design": 0, "fail": 0, "broken": 0, "skip": 0}`
	for _, v := range []struct{ name, old, new, err string }{
		{"all", "", "", ""},
		{"a shard that is none", `"1/2", "machine"`, `"3/2", "machine"`, `shard "3/2": the first is 0 and the last 1: give i/n, such as 0/4 to 3/4 on four machines`},
		{"a run's shard that is none", `"shard": "1/2", "seed"`, `"shard": "x", "seed"`, `shard "x": there is no slash: give i/n, such as 0/4 to 3/4 on four machines`},
		{"an incomplete run", `"kernel": "k", "machine"`, `"kernel": "k", "incomplete": true, "machine"`, `field "complete" is true, but the runs say false`},
		{"an incomplete card", `"complete": true`, `"complete": false`, `field "complete" is false, but the runs say true`},
		{"too many", `"pass": 2`, `"pass": 268435456`, `check 1 ("n"): field "runs": 268435456 is not a number of runs from 0 to 268435455`},
		{"too few", `"pass": 2`, `"pass": -1`, `check 1 ("n"): field "runs": -1 is not a number of runs from 0 to 268435455`},
		{"another verdict", `"fail": 0`, `"fail": 1`, `check 1 ("n"): verdict "pass" is not the gravest of its runs: 2 pass, 1 fail, 0 broken, 0 skip`},
		{"a half count", `"pass": 2`, `"pass": 1.5`, `check 1 ("n"): read field "runs.pass": this is JSON number 1.5, and a whole number is required`},
	} {
		t.Run(v.name, func(t *testing.T) {
			text := strings.NewReplacer(`"seed": 1`, merged, `"findings": [], "duration_ms": 0.5`, counted).Replace(oneCheck)
			require.Contains(t, text, v.old)
			text = strings.Replace(text, v.old, v.new, 1)
			parsesAs(t, text, v.err)
		})
	}
}

// FuzzMerge merges two cards in every way, and requires what is promised of all.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(oneCheck), []byte(strings.Replace(oneCheck, `"pass"`, `"fail"`, 1)))
	for _, name := range []string{"right", "wrong"} {
		text, err := testdata.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, bytes.Replace(text, []byte(`"seed": `), []byte(`"seed": 1`), 1))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		a, err := Parse(bytes.NewReader(first))
		if err != nil {
			return
		}
		b, err := Parse(bytes.NewReader(second))
		if err != nil {
			return
		}
		merged, err := merge(Source{"a", a}, Source{"b", b})
		if err != nil {
			requirePrintable(t, err.Error())
			return
		}
		require.Len(t, merged.Runs, len(a.runs())+len(b.runs()))
		require.LessOrEqual(t, len(merged.Checks), len(a.Checks)+len(b.Checks))
		for _, c := range []Card{a, b} {
			for _, r := range c.Checks {
				require.Equal(t, verdictIn(merged, r), worst([]Result{r, {Verdict: verdictIn(merged, r)}}), "nothing becomes better")
			}
		}
		for _, r := range merged.Checks {
			require.Equal(t, verdictIn(a, r)+verdictIn(b, r) == Pass, r.Verdict == Pass && len(verdictIn(a, r)+verdictIn(b, r)) == 4)
		}
		requireAllPrintable(t, merged)

		// What is merged can be written and read, and merging twice is merging once.
		var text bytes.Buffer
		require.NoError(t, merged.WriteJSON(&text))
		again, err := Parse(&text)
		require.NoError(t, err)
		require.Equal(t, asText(t, merged), asText(t, again))
		alone, err := merge(Source{"a", a})
		require.NoError(t, err)
		inSteps, err := merge(Source{"a", alone}, Source{"b", b})
		require.NoError(t, err)
		require.Equal(t, merged, inSteps)
	})
}

// verdictIn returns what a card says of the result's check and family.
func verdictIn(c Card, r Result) Verdict {
	for _, other := range c.Checks {
		if other.Name == r.Name && other.Family == r.Family {
			return other.Verdict
		}
	}
	return ""
}

func asText(t *testing.T, c Card) string {
	text, err := json.Marshal(c)
	require.NoError(t, err)
	return string(text)
}

func requirePrintable(t *testing.T, text string) {
	t.Helper()
	require.Equal(t, text, oneLine(text), "one printable line")
	require.Less(t, len(text), 4<<10)
}

func writeCard(t *testing.T, c Card, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
	var b bytes.Buffer
	require.NoError(t, c.WriteJSON(&b))
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o666))
}

func TestMergeDirectories(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "merged")
	writeCard(t, shard("0/3", 1, Pass, "x"), in, "one", "scorecard.json")
	writeCard(t, shard("1/3", 2, Pass, "y"), in, "two", "deep", "scorecard.json")
	for name, text := range map[string]string{
		"one/story-7.md": "a", "one/story-7.go.txt": "b", "two/deep/story-7.md": "c", "two/deep/story-8.json": "{}",
		"one/scorecard.md": "not read", "one/core": "other files are left alone", "two/story-7.exe": "nor this",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(in, filepath.FromSlash(name)), []byte(text), 0o666))
	}
	require.NoError(t, os.Mkdir(filepath.Join(in, "empty"), 0o777))
	require.NoError(t, os.Symlink("/etc", filepath.Join(in, "one", "elsewhere")))

	shards, err := MergeDirectories(out, filepath.Join(in, "one"), filepath.Join(in, "two"), filepath.Join(in, "empty"))
	require.NoError(t, err)
	assert.Len(t, shards.Sources, 2)
	assert.Equal(t, []string{filepath.Join(in, "empty")}, shards.Without)
	assert.Equal(t, []string{filepath.Join(out, "story-7.md"), filepath.Join(out, "story-7.go.txt"),
		filepath.Join(out, "story-7-2.md"), filepath.Join(out, "story-8.json")}, shards.Stories)
	assert.False(t, shards.OK(), "a shard is missing, and a story failed")
	second, err := os.ReadFile(filepath.Join(out, "story-7-2.md"))
	require.NoError(t, err)
	assert.Equal(t, "c", string(second))
	file, err := os.Open(filepath.Join(out, "scorecard.json"))
	require.NoError(t, err)
	defer file.Close()
	card, err := Parse(file)
	require.NoError(t, err)
	assert.Equal(t, shards.Card, card)
	assert.FileExists(t, filepath.Join(out, "scorecard.md"))

	_, err = MergeDirectories(out, filepath.Join(in, "one"))
	assert.ErrorContains(t, err, "it is not empty: name a new directory first, and then the cards or directories to merge")
}

func TestMergeDirectoriesIsOK(t *testing.T) {
	in := t.TempDir()
	writeCard(t, shard("0/2", 1, Pass, "x"), in, "one", "scorecard.json")
	writeCard(t, shard("1/2", 2, Pass, "y"), in, "two", "scorecard.json")
	shards, err := MergeDirectories(filepath.Join(t.TempDir(), "out"), in)
	require.NoError(t, err)
	assert.True(t, shards.OK())
	require.NoError(t, os.WriteFile(filepath.Join(in, "two", "story-9.md"), nil, 0o666))
	shards, err = MergeDirectories(filepath.Join(t.TempDir(), "out"), in)
	require.NoError(t, err)
	assert.False(t, shards.OK(), "a story failed in a shard that was killed afterwards")
}

// TestMergeDirectoriesTakesCards by their names, too.
func TestMergeDirectoriesTakesCards(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	writeCard(t, shard("0/3", 1, Pass, "x"), in, "one.json")
	writeCard(t, shard("1/3", 2, Pass, "y"), in, "two", "scorecard.json")
	shards, err := MergeDirectories(out, filepath.Join(in, "one.json"), filepath.Join(in, "two"))
	require.NoError(t, err)
	assert.Len(t, shards.Sources, 2)
	assert.Empty(t, shards.Without)
	assert.Equal(t, "2 runs on kernel 6.12.0, 2 processors, first seed 1, shards missing: 2 of 3", shards.Card.Origin())

	writeText(t, filepath.Join(in, "half.json"), oneCheck[:50])
	_, err = MergeDirectories(filepath.Join(in, "new"), filepath.Join(in, "half.json"))
	assert.EqualError(t, err, "merge scorecards: "+in+"/half.json: parse scorecard: unexpected end of JSON input at byte 50")
}

func TestMergeDirectoriesNamesTheFile(t *testing.T) {
	for name, v := range map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"no card":   {func(*testing.T, string) {}, "there is no scorecard.json below DIR: name the directories that the runs wrote"},
		"half":      {func(t *testing.T, dir string) { writeText(t, dir+"/a/scorecard.json", oneCheck[:50]) }, "DIR/a/scorecard.json: parse scorecard: unexpected end of JSON input at byte 50"},
		"directory": {func(t *testing.T, dir string) { require.NoError(t, os.Mkdir(dir+"/scorecard.json", 0o777)) }, "there is no scorecard.json below DIR"},
		"link":      {func(t *testing.T, dir string) { require.NoError(t, os.Symlink("/dev/zero", dir+"/scorecard.json")) }, "DIR/scorecard.json: this is not a regular file"},
		"contradiction": {func(t *testing.T, dir string) {
			writeText(t, dir+"/a/scorecard.json", oneCheck)
			writeText(t, dir+"/b/scorecard.json", strings.Replace(oneCheck, `"s"`, `"z"`, 1))
		}, `field "subject" is "s" in DIR/a/scorecard.json and "z" in DIR/b/scorecard.json`},
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			v.prepare(t, dir)
			_, err := MergeDirectories(out, dir)
			require.Error(t, err)
			assert.Contains(t, strings.ReplaceAll(err.Error(), dir, "DIR"), "merge scorecards: "+v.want)
			assert.NoDirExists(t, out, "nothing is written")
		})
	}
	_, err := MergeDirectories(t.TempDir(), "no such directory")
	assert.ErrorContains(t, err, "no such directory")
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o666))
}

// TestMergeKeepsCauses: a cause that several runs have is one, and results name it by its number
// in the merged card.
func TestMergeKeepsCauses(t *testing.T) {
	card := func(seed uint64, check string, texts ...string) Card {
		c := shard("", seed, Fail, "it ends")
		c.Profile = Profile{Model: "a process for each connection"}
		for i, text := range texts {
			c.Causes = append(c.Causes, Cause{ID: i + 1, Text: text, Checks: []string{check}, Families: []string{"IPv4"}})
		}
		c.Checks[0].Name, c.Checks[0].CauseID = check, len(texts)
		return c
	}
	merged, err := merge(named(card(1, "reset-survived", "it ends at a reset"), card(2, "peer-gone", "it is deaf", "it ends at a reset"))...)
	require.NoError(t, err)
	assert.EqualValues(t, "a process for each connection", merged.Profile.Model)
	assert.Equal(t, []Cause{
		{ID: 1, Text: "it ends at a reset", Checks: []string{"reset-survived", "peer-gone"}, Families: []string{"IPv4"}},
		{ID: 2, Text: "it is deaf", Checks: []string{"peer-gone"}, Families: []string{"IPv4"}},
	}, merged.Causes)
	for _, r := range merged.Checks {
		assert.Equal(t, 1, r.CauseID, r.Name)
	}
}

// TestMergedCardNamesRecordings: the names lead from the merged card to the files of the runs.
func TestMergedCardNamesRecordings(t *testing.T) {
	dir := t.TempDir()
	first, second := shard("0/2", 1, Pass, "right"), shard("1/2", 2, Fail, "wrong")
	second.Checks[0].Recording = "scorecard-recordings/search-IPv4.json"
	second.Causes = []Cause{{ID: 1, Text: "it ends", Checks: []string{"search"}, Recording: "scorecard-recordings/trial.json"}}
	writeCard(t, first, dir, "one", CardFile)
	writeCard(t, second, dir, "two", CardFile)
	shards, err := MergeDirectories(filepath.Join(dir, "out"), filepath.Join(dir, "one"), filepath.Join(dir, "two"))
	require.NoError(t, err)
	assert.Equal(t, "../two/scorecard-recordings/search-IPv4.json", shards.Card.Checks[0].Recording)
	for _, cause := range shards.Card.Causes {
		assert.Contains(t, []string{"", "../two/scorecard-recordings/trial.json"}, cause.Recording)
	}
}
