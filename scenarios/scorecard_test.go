package scenarios

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// TestScorecard judges the subject by every check in both families, each as a
// test of its own.
func TestScorecard(t *testing.T) {
	t.Parallel()
	subject, selected, err := order()
	require.NoError(t, err)
	absent := judge.Reach(t, subject, rig.Families[:]...)
	if len(absent) == len(rig.Families) {
		t.Fatalf("the subject cannot be judged: %s", scorecard.Printable(absent[rig.IPv4].Error()))
	}
	card := newCard(subject, len(selected))
	t.Cleanup(func() { // when all of them have ended
		// Those that -run or -skip left out have no name.
		card.Checks = slices.DeleteFunc(card.Checks, func(r scorecard.Result) bool { return r.Name == "" })
		if asked() {
			if err := publish(card); err != nil {
				t.Errorf("publish the scorecard: %v", err)
			}
		}
		if !t.Failed() && !card.OK() && (asked() || len(card.Checks) > 0) {
			t.Errorf("nothing was judged: %v", card.Counts())
		}
	})
	for i, check := range selected {
		for f, family := range rig.Families {
			result := &card.Checks[i*len(rig.Families)+f]
			t.Run(family.String()+"/"+check.Name, func(t *testing.T) {
				t.Parallel()
				if reason, skip := absent[family]; skip {
					*result = notIn(family, check, reason)
				} else {
					*result = check.Judge(t, subject, family)
				}
				result.Reproduce = repeat(card, check, family)
				tell(t, *result)
			})
		}
	}
}

func newCard(subject judge.Subject, checks int) scorecard.Card {
	seed, _ := strconv.ParseUint(os.Getenv(rig.SeedEnv), 10, 64) // set where a card was asked for
	return scorecard.Card{Subject: subject.String(), Kernel: rig.Kernel(), Seed: seed, Complete: true,
		Machine: fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH),
		Checks:  make([]scorecard.Result, checks*len(rig.Families))}
}

// notIn is the result of a check in a family in which the subject does not listen.
func notIn(family rig.Family, check judge.Check, reason error) scorecard.Result {
	lines := strings.Split(strings.TrimSpace(reason.Error()), "\n")
	line := strings.TrimSpace(lines[len(lines)-1]) // what it wrote last, or else the error
	return scorecard.Result{Name: check.Name, Verdict: scorecard.Skip, Family: family.String(), Expected: check.Meaning,
		Cause: fmt.Sprintf("it does not serve %v: %s", family, line)}
}

// tell gives the test the verdict of its check.
func tell(t *testing.T, r scorecard.Result) {
	t.Helper()
	switch r.Verdict {
	case scorecard.Pass:
		t.Log(scorecard.Printable(r.Observed))
	case scorecard.Skip:
		t.Skip(scorecard.Printable(r.Cause))
	default:
		// What a subject wrote may look like a line of go test's own.
		t.Error(scorecard.Printable(fmt.Sprintf("%s %s: %s\nexpected: %s\nobserved: %s\ncause:    %s\nevidence:\n    %s\nrepeat with: %s",
			r.Verdict, r.Name, r.Family, r.Expected, r.Observed, r.Cause, strings.Join(r.Evidence, "\n    "), r.Reproduce)))
	}
}

// repeat is the command that makes just this check again.
func repeat(card scorecard.Card, check judge.Check, family rig.Family) string {
	words := []string{"go", "test", "forkrig/scenarios", "-count=1", "-run", "^TestScorecard$/^" + family.String() + "$", "-checks", check.Name}
	for _, name := range append([]string{"subject"}, subjectFlags...) {
		if value, set := given(name); set {
			words = append(words, "-"+name+"="+value)
		}
	}
	command := rig.Command{Args: words}.String()
	if os.Geteuid() == 0 && !rig.Rootless() {
		return fmt.Sprintf("sudo %s=%d %s", rig.SeedEnv, card.Seed, command)
	}
	return fmt.Sprintf("%s=%d %s", rig.SeedEnv, card.Seed, command)
}

// publish writes the card to all who asked for it.
func publish(card scorecard.Card) error {
	var errs []error
	if name := rig.FromInvoker(*cardFlag); name != "" {
		errs = append(errs, writeFile(name, os.O_TRUNC, card.WriteJSON))
		errs = append(errs, writeFile(strings.TrimSuffix(name, filepath.Ext(name))+".md", os.O_TRUNC, card.WriteMarkdown))
	}
	if name := os.Getenv("GITHUB_STEP_SUMMARY"); name != "" {
		errs = append(errs, writeFile(name, os.O_APPEND, card.WriteMarkdown))
	}
	out := rig.Announce()
	_, err := fmt.Fprintf(out, "%s\n%s\n\n", card.Subject, card.Origin())
	return errors.Join(append(errs, err, card.WriteTable(out, scorecard.Colour(out)))...)
}

func writeFile(name string, how int, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|how, 0o666)
	if err != nil {
		return fmt.Errorf("write the scorecard: %w", err)
	}
	return errors.Join(write(file), file.Close())
}
