// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkNames are as many and as long as those of a real card.
var checkNames = strings.Fields(`reap reap-burst reap-exact eintr-accept eintr-worker eintr-sweep signal-storm handler-safety
	reuse-time-wait reuse-live-worker second-instance restart-gap reload fin-on-close fd-steady concurrent backlog-burst
	bytes-exact slow-reader clean-close reset-survived peer-gone vanished-client accept-aborted accept-emfile accept-short
	fork-failure worker-killed log-closed log-full term`)

// full is a card with all checks in both families, of which each is a pass unless change makes
// something else of it.
func full(change func(r *Result, place int)) Card {
	card := Card{Subject: "./server -listen {host}:{port}", Kernel: "6.12.0-1-amd64", Machine: "2 processors, amd64", Seed: 4711,
		Complete: true, Profile: Profile{Service: Service{Seen: "http", Closes: "server"}}}
	for i, name := range checkNames {
		for _, family := range []string{"IPv4", "IPv6"} {
			r := Result{Name: name, Family: family, Verdict: Pass, Expected: "what a right server does", Observed: "it does"}
			change(&r, i)
			if r.Verdict != Pass {
				r.Reproduce = "sudo FORKRIG_SEED=4711 forkrig judge -checks " + name + " -family " + family[3:] + " -- ./server -listen '{host}:{port}'"
			}
			card.Checks = append(card.Checks, r)
		}
	}
	card.Causes = FindCauses(card.Checks)
	return card
}

// end makes a fail of the result, whose server ended with this status after the stimuli.
func (r *Result) ends(status int, words string, after ...Stimulus) {
	r.Verdict, r.Stimuli = Fail, after
	r.Observed = "the listener ends (exit status " + fmt.Sprint(status) + "), and a client that comes then sees: connection refused"
	r.Remedy = "an error of one connection must not end the listener: end only its worker, and log what happened"
	r.End = &End{Kind: Exited, Status: status, Words: words, After: after}
	r.Evidence = []string{"processes: no processes", "sockets: TIME-WAIT 10.0.1.1:9999→10.0.1.2:53190", "stderr of pid 354: " + words,
		"     0.016ms  lab                host server", "   300.100ms  server/subject     pid 354: exit status 1"}
}

// bigCards are those with all checks.
func bigCards() map[string]Card {
	skip := func(r *Result, place int) {
		if slices.Contains([]string{"reload", "log-full"}, r.Name) {
			r.Verdict, r.Observed, r.Reason = Skip, "", "it is not known how the subject is told to reload"
		}
	}
	all := map[string]Card{
		"healthy": full(skip),
		"one-cause": full(func(r *Result, place int) {
			if skip(r, place); place >= 17 && place < 28 {
				r.ends(1, "Error: read ECONNRESET", ClientReset)
			}
		}),
		"worst": full(func(r *Result, place int) {
			stimuli := []Stimulus{AcceptError, ManyClients, ClientReset, RestartTimeWait, NoDescriptors}
			r.ends(1+place%5, strings.Repeat("goroutine 17 [running]: main.serve(0xc000012345) ", 4)+r.Family, stimuli[place%5])
			if place%5 == 4 && r.Family == "IPv6" {
				r.Verdict, r.End, r.Reason, r.Remedy = Broken, nil, "a client is not served (other checks judge that): "+strings.Repeat("it waits ", 20), ""
			}
		}),
		"all-different": full(func(r *Result, place int) {
			r.Verdict, r.Remedy = Fail, fmt.Sprintf("%d things are wrong over %s, and each has a remedy of its own: call accept again", place, r.Family)
			if place%3 == 0 && r.Family == "IPv6" {
				r.Verdict, r.Remedy, r.Reason = Skip, "", "this machine lacks ipv6"
			}
		}),
		"cut-short-late": full(func(r *Result, place int) {
			if place == 20 {
				r.ends(1, "Error: read ECONNRESET", ClientReset)
			}
			if place > 20 {
				r.Verdict, r.Observed, r.Reason, r.Unjudged = Broken, "", "not judged: ended by -within 20s", true
			}
		}),
		"preliminary": preliminary(),
		"one-family": full(func(r *Result, _ int) {
			if r.Family == "IPv6" {
				r.Verdict, r.Observed, r.Reason = Skip, "", "the subject does not serve IPv6: bind: address family not supported"
			}
		}),
	}
	late := all["cut-short-late"]
	late.Complete, late.EndedBy = false, "-within 20s"
	all["cut-short-late"] = late
	worst := all["worst"]
	worst.Subject, worst.Kernel = strings.Repeat("./server -listen {host}:{port} ", 5), "6.8.0-1021-azure-fips-with-a-long-name-of-its-own"
	all["worst"] = worst
	return all
}

// preliminary is the card of a server that ends with its first client.
func preliminary() Card {
	known := NewCause(End{Kind: Exited, Status: 3, Words: "server: wait: no child process"}, WorkerEnds)
	known.ID, known.Families, known.Unjudged = 1, []string{"IPv4", "IPv6"}, 27
	card := full(func(r *Result, place int) {
		if place < 4 {
			r.ends(3, "server: wait: no child process", WorkerEnds)
			return
		}
		r.Verdict, r.Observed, r.Reason, r.CauseID = Skip, "", "not judged: see cause 1", 1
	})
	card.Causes = FindCauses(card.Checks, known)
	return card
}

func allCards() map[string]Card {
	all := maps.Clone(cards)
	maps.Copy(all, bigCards())
	return all
}

// requireFits sees that the first screen has at most 24 lines of 80 columns, that no line of the
// details is longer but a command, and that each check has at most ten.
func requireFits(t *testing.T, card Card) {
	t.Helper()
	for _, columns := range []int{0, 60, 250} {
		style := Style{Columns: columns}
		screen := card.screen(style)
		require.LessOrEqual(t, len(screen), 24, strings.Join(screen, "\n"))
		for _, line := range screen {
			require.LessOrEqual(t, width(line), style.screen(), line)
		}
		for _, line := range card.details(style) {
			if !strings.HasPrefix(line, "  reproduce  ") {
				require.LessOrEqual(t, width(line), style.screen(), line)
			}
		}
		for _, f := range card.findings(true) {
			require.LessOrEqual(t, len(f.brief(style.screen())), maxDetail-1, f.Name)
		}
	}
}

func TestFirstScreenFits(t *testing.T) {
	for name, card := range allCards() {
		t.Run(name, func(t *testing.T) { requireFits(t, card) })
	}
}

// TestFirstScreenOfAnyCard has each check on it, or says how many are left out.
func TestFirstScreenOfAnyCard(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		verdicts := []Verdict{Pass, Warn, ByDesign, Fail, Broken, Skip}[random.IntN(5):]
		ends, alike := 1+random.IntN(8), random.IntN(3)
		card := full(func(r *Result, place int) {
			r.Verdict = verdicts[random.IntN(len(verdicts))]
			r.Unjudged = r.Verdict == Broken && random.IntN(2) == 0
			if r.Verdict == Fail && random.IntN(3) >= alike {
				r.ends(random.IntN(ends), strings.Repeat("words ", random.IntN(40)), Stimuli()[random.IntN(ends)])
			}
		})
		for i := range card.Causes {
			card.Causes[i].Unjudged = random.IntN(2) * 10
		}
		if random.IntN(2) == 0 {
			card.Complete, card.EndedBy = false, strings.Repeat("a long reason ", random.IntN(9))
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			requireFits(t, card)
			screen := strings.Join(card.screen(Style{}), " ")
			for _, name := range checkNames {
				require.True(t, strings.Contains(screen, name) || strings.Contains(screen, " more"), "%s is missing", name)
			}
		})
	}
}

// TestFirstScreenOfThousands of checks is written in good time, too.
func TestFirstScreenOfThousands(t *testing.T) {
	card := Card{Subject: "s", Complete: true}
	for i := range 1200 {
		card.Checks = append(card.Checks, Result{Name: fmt.Sprint("check-", i), Family: "IPv4", Verdict: kinds[i%len(kinds)].Verdict})
	}
	screen := card.screen(Style{})
	assert.LessOrEqual(t, len(screen), 24)
	assert.Regexp(t, `(?s)pass 200: check-0, .* and \d+ more`, strings.Join(screen, "\n"))
}

// TestCausesOnTheFirstScreen: one that explains a single check is told where there is room.
func TestCausesOnTheFirstScreen(t *testing.T) {
	card := full(func(r *Result, place int) {
		if place == 3 {
			r.ends(1, "Error: read ECONNRESET", ClientReset)
		}
	})
	screen := strings.Join(card.screen(Style{}), "\n")
	assert.Contains(t, screen, "\ncause 1: the server ends with status 1 when a client resets its connection:\n  \"Error: read ECONNRESET\"; eintr-accept fails because of it\n")
	assert.Regexp(t, `\neintr-accept  fail  fail  an error of one connection must not end`, screen, "its remedy is the row's")

	screen = strings.Join(bigCards()["one-cause"].screen(Style{}), "\n")
	assert.Contains(t, screen, "; 11 checks fail because of it")
	assert.Contains(t, screen, "\n  remedy: an error of one connection must not end", "no row says it")
}

// TestCauseIsTwoLines: what is cut are the server's words, and what follows is whole.
func TestCauseIsTwoLines(t *testing.T) {
	for i, text := range []string{"the server ends", strings.Repeat("the server ends ", 30), strings.Repeat("x", 500)} {
		cause := Cause{ID: 12, Text: text, Checks: []string{"reap", "term"}, Unjudged: 20, End: &End{Kind: Exited, Words: "begin " + strings.Repeat("word ", 100) + "end"}}
		all := cause.lines(80)
		require.Len(t, all, 2, text)
		assert.Regexp(t, `^cause 12: `, all[0])
		assert.Regexp(t, `end"; 2 checks fail; 20 checks are not judged$`, strings.Join(strings.Fields(strings.Join(all, " ")), " "))
		assert.Equal(t, i > 0, strings.Contains(strings.Join(all, ""), "…:"), all[0])
	}
}

// TestCauseHasNoTime: the time of a line tells nothing.
func TestCauseHasNoTime(t *testing.T) {
	for words, want := range map[string]string{
		"2026/11/29 00:43:55 socat[7] E bind": "socat[7] E bind",
		"[2026-11-29T00:43:55.123Z] panic":    "panic",
		"00:43:55,123 bind: in use":           "bind: in use",
		"11 things":                           "11 things",
		"2026":                                "2026",
	} {
		assert.Equal(t, `cause 1: it ends: "`+want+`"`, Cause{ID: 1, Text: "it ends", End: &End{Words: words}}.String())
	}
}

func TestWriteCheck(t *testing.T) {
	card := bigCards()["one-cause"]
	var text bytes.Buffer
	require.NoError(t, card.WriteCheck(&text, "peer-gone", Style{}))
	golden(t, "check.txt", text.Bytes())
	for _, check := range []string{"reload", "reap"} {
		text.Reset()
		require.NoError(t, card.WriteCheck(&text, check, Style{}))
		assert.Regexp(t, `^`+check+` over IPv4: (pass|skip)\n  expected   what a right server does\n  (observed   it does|reason     it is not known)`, text.String())
	}
	text.Reset()
	assert.EqualError(t, cards["meant"].WriteCheck(&text, "raep", Style{}),
		`the card has no check called "raep": it has reap, accept-aborted and second-instance`)
	assert.EqualError(t, Card{}.WriteCheck(&text, "raep", Style{}), `the card has no check called "raep": it has none`)
	assert.Empty(t, text.String())
}

// TestFullDetails have all evidence, also of what follows from a cause.
func TestFullDetails(t *testing.T) {
	for name, card := range bigCards() {
		details := "\n" + strings.Join(card.details(Style{Full: true}), "\n") + "\n"
		for _, r := range card.Checks {
			for _, line := range r.Evidence {
				assert.Contains(t, details, "\n    "+line+"\n", "%s: %s", name, r.Name)
			}
		}
	}
}
