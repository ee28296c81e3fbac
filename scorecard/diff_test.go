// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDiffOfVerdicts has every pair of verdicts; "-" is a card without the check.
func TestDiffOfVerdicts(t *testing.T) {
	want := map[Verdict]string{ // old: what each new one is
		//         pass   by-design warn   skip   broken fail  -
		Pass:     "same   same      worse  known worse   worse gone",
		ByDesign: "better same      same   known known worse gone",
		Warn:     "better better    same   known known worse gone",
		Skip:     "better better    better same    same    worse gone",
		Broken:   "better better    better same    same    worse gone",
		Fail:     "better better    better known known same  gone",
		"-":      "new    new       new    new     new     new   nothing",
	}
	require.Len(t, want, len(kinds)+1)
	card := func(v Verdict) (c Card) {
		if c.Complete = true; v != "-" {
			c.Checks = []Result{{Name: "reap", Family: "IPv4", Verdict: v, Remedy: "because"}}
		}
		return c
	}
	for old, words := range want {
		for i, new := range []Verdict{Pass, ByDesign, Warn, Skip, Broken, Fail, "-"} {
			d := Diff(card(old), card(new))
			got := "nothing"
			for _, s := range append(d.sections(), section{"same", d.Same}) {
				for _, c := range s.changes {
					require.Equal(t, "nothing", got)
					got = strings.TrimPrefix(s.heading, "not ")
					assert.Equal(t, strings.Trim(string(old), "-"), string(c.Old))
					assert.Equal(t, strings.Trim(string(new), "-"), string(c.New))
				}
			}
			word := strings.Fields(words)[i]
			assert.Equal(t, word, got, "%s to %s", old, new)
			assert.Equal(t, word == "worse" || word == "new" && (new == Fail || new == Broken), d.Worse(), "%s to %s", old, new)
		}
	}
}

// TestDiffOfFindings has a fail that remains one.
func TestDiffOfFindings(t *testing.T) {
	card := func(findings ...string) Card {
		return Card{Complete: true, Checks: []Result{{Name: "accept-short", Family: "IPv4", Verdict: Fail, Remedy: "call accept again", Findings: findings}}}
	}
	d := Diff(card("ENFILE"), card("ENFILE", "ENOMEM"))
	assert.Equal(t, []Change{{"accept-short", "IPv4", Fail, Fail, "ENOMEM is new; now ENFILE, ENOMEM: call accept again"}}, d.Worsened)
	assert.True(t, d.Worse())
	d = Diff(card("ENFILE", "ENOMEM"), card("ENOMEM"))
	assert.Equal(t, []Change{{"accept-short", "IPv4", Fail, Fail, "ENFILE is gone; now ENOMEM: call accept again"}}, d.Improved)
	assert.False(t, d.Worse())
	assert.True(t, Diff(card("ENFILE"), card("ENOMEM")).Worse(), "another one")
	assert.Len(t, Diff(card("ENFILE"), card("ENFILE")).Same, 1)
	assert.Len(t, Diff(card(), card("ENFILE")).Same, 1, "a card from before there were findings")
	warn := card("EPROTO", "ENOBUFS")
	warn.Checks[0].Verdict = Warn
	assert.False(t, Diff(card("EPROTO"), warn).Worse(), "not within a fail")
}

// TestDiffOfDividedCheck compares a check with those that have taken its place.
func TestDiffOfDividedCheck(t *testing.T) {
	old := func(v Verdict) Card {
		return Card{Complete: true, Checks: []Result{{Name: "accept-errors", Family: "IPv4", Verdict: v}, {Name: "term", Family: "IPv4", Verdict: Pass}}}
	}
	new := func(verdicts ...Verdict) (c Card) {
		c.Complete = true
		for i, v := range verdicts {
			c.Checks = append(c.Checks, Result{Name: Successors("accept-errors")[i], Family: "IPv4", Verdict: v, Remedy: "because", Observed: "seen"})
		}
		c.Checks = append(c.Checks, Result{Name: "term", Family: "IPv4", Verdict: Pass})
		return c
	}
	d := Diff(old(Pass), new(Pass, Fail, Fail))
	assert.Equal(t, []Change{{"accept-errors", "IPv4", Pass, Fail, "accept-emfile: because; accept-short: because"}}, d.Worsened)
	assert.True(t, d.Worse())
	assert.Len(t, d.Same, 1)
	assert.Len(t, Diff(old(Fail), new(Pass, Warn, Pass)).Improved, 1)
	assert.Len(t, Diff(old(Fail), new(Pass, Broken, Pass)).Unknown, 1)
	d = Diff(old(Fail), new(Fail, Fail, Warn))
	assert.False(t, d.Worse())
	assert.Len(t, d.Same, 2)
	assert.Empty(t, d.Added)
	d = Diff(old(Pass), new(Pass, Fail))
	assert.Len(t, d.Removed, 1, "what was not made is not known")
	assert.True(t, d.Worse())
	assert.Len(t, Diff(new(Fail, Pass, Pass), new(Pass, Pass, Pass)).Improved, 1)
}

func TestDiffOfCards(t *testing.T) {
	for name, card := range cards {
		d := Diff(card, card)
		assert.False(t, d.Worse(), name)
		assert.Len(t, d.Same, len(card.Checks), name)
	}

	// What a card that was cut short does not have any more is not known to be right.
	cut := cards["right"]
	cut.Checks, cut.Complete = cut.Checks[1:], false
	d := Diff(cards["right"], cut)
	assert.Equal(t, []Change{{Name: "reaping", Family: "IPv4", Old: Pass}}, d.Removed)
	assert.True(t, d.Worse())
	cut.Complete = true
	assert.False(t, Diff(cards["right"], cut).Worse(), "left out on purpose")
}

// changed is the wrong card after some work on the server, cut short.
func changed() Card {
	card := cards["wrong"]
	card.Seed, card.Complete, card.EndedBy = 4712, false, "-within 2m"
	card.Checks = append([]Result(nil), card.Checks...)
	for i, r := range card.Checks {
		switch r.Name {
		case "reaping":
			card.Checks[i].Verdict = Pass
		case "listens":
			card.Checks[i].Verdict, card.Checks[i].Remedy = Fail, "the port is in use | \x1b[2J\n"+strings.Repeat("by another process ", 9)
		case "survives-reset":
			card.Checks[i] = Result{Name: r.Name, Family: r.Family, Verdict: Broken, Unjudged: true, Reason: "not judged: ended by -within 2m"}
		}
	}
	card.Checks = append(card.Checks[:6], card.Checks[8:]...)
	card.Checks = append(card.Checks, Result{Name: "term", Family: "IPv6", Verdict: Skip, Reason: "needs root"})
	return card
}

// TestDiffOfCauses is worse where a cause keeps checks from being judged that were skipped before.
func TestDiffOfCauses(t *testing.T) {
	skipped := Card{Subject: "s", Kernel: "k", Complete: true, Checks: []Result{{Name: "term", Family: "IPv4", Verdict: Skip}}}
	kept := skipped
	kept.Causes = []Cause{
		{ID: 1, Text: "the server ends with status 0 when a client leaves", Unjudged: 30},
		{ID: 2, Text: "the server ends on SIGTERM", Checks: []string{"term"}},
	}
	d := Diff(skipped, kept)
	assert.Equal(t, kept.Causes[:1], d.Causes)
	assert.True(t, d.Worse())
	var text bytes.Buffer
	require.NoError(t, d.WriteText(&text, Style{}))
	assert.Contains(t, text.String(), "\nworse: these checks are not judged any more\n  cause 1: the server ends with status 0 when a client leaves; 30 checks are not judged\n")
	assert.Contains(t, text.String(), "\n0 worse, 0 better, 0 not known, 0 new, 0 gone, 1 the same; worse: 1 cause keeps checks from being judged\n")
	assert.False(t, Diff(kept, kept).Worse(), "as before")
	assert.False(t, Diff(kept, skipped).Worse())
}

func TestDifferenceText(t *testing.T) {
	d := Diff(cards["wrong"], changed())
	var text, colours bytes.Buffer
	require.NoError(t, d.WriteText(&text, Style{Columns: 100}))
	require.NoError(t, d.WriteText(&colours, Style{Colour: true, Columns: 100}))
	golden(t, "difference.txt", text.Bytes())
	golden(t, "difference.ansi", colours.Bytes())

	text.Reset()
	require.NoError(t, Diff(cards["empty"], cards["empty"]).WriteText(&text, Style{Columns: 100}))
	assert.Equal(t, `old  ./server
     kernel 6.12.0, seed 1
new  ./server
     kernel 6.12.0, seed 1

0 worse, 0 better, 0 not known, 0 new, 0 gone, 0 the same
`, text.String())
}

// TestWorsening has what an old card does not have, and nothing else.
func TestWorsening(t *testing.T) {
	result := func(name string, v Verdict, cause int) Result {
		return Result{Name: name, Family: "IPv4", Verdict: v, CauseID: cause}
	}
	causes := []Cause{{ID: 1, Text: "of before"}, {ID: 2, Text: "new"}, {ID: 3, Text: "keeps from judging", Unjudged: 5}}
	old := Card{Checks: []Result{result("reap", Fail, 1), result("term", Pass, 0), result("reload", Pass, 0), result("accept-errors", Pass, 0)}}
	for want, new := range map[string]Card{
		"":                      {Checks: []Result{result("reap", Fail, 1), result("term", Pass, 0), result("new", Pass, 0)}, Causes: causes[:1]},
		"term new / new":        {Checks: []Result{result("reap", Fail, 1), result("term", Fail, 2), result("new", Broken, 0)}, Causes: causes[:2]},
		" / keeps from judging": {Checks: []Result{result("reap", Fail, 1), result("term", Skip, 3)}, Causes: []Cause{causes[0], causes[2]}},
		"accept-emfile accept-aborted accept-short": {Checks: []Result{result("accept-emfile", Fail, 0), result("accept-aborted", Fail, 0), result("accept-short", Fail, 0)}},
	} {
		new.Complete = true
		d := Diff(old, new)
		assert.Equal(t, want != "", d.Worse(), want)
		worse := d.Worsening()
		var names, texts []string
		for _, r := range worse.Checks {
			names = append(names, r.Name)
		}
		for _, cause := range worse.Causes {
			texts = append(texts, cause.Text)
		}
		got := strings.Join(names, " ")
		if len(texts) > 0 {
			got += " / " + strings.Join(texts, " ")
		}
		assert.Equal(t, want, got)
	}
}
