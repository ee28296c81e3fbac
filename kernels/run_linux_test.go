// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/boot"
	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

// TestMain is also the jobs that the tests give to a plan: this binary with the word job and the
// name of one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "job" {
		os.Exit(runJob(os.Args[2]))
	}
	os.Exit(m.Run())
}

func runJob(name string) (status int) {
	say := func(l Line) { _ = l.Say(os.Stdout) }
	switch name {
	case "answer":
		say(Line{Asked: "K15"})
		say(Line{Answer: &probes.Answer{ID: "K15", Value: "1 of 3 connect"}})
	case "fail":
		say(Line{Card: &scorecard.Card{Complete: true, Checks: []scorecard.Result{{Name: "reap", Verdict: scorecard.Fail}}}})
		return 1
	case "fail without a reason":
		return 1
	case "die":
		say(Line{Asked: "K17"})
		fmt.Fprint(os.Stderr, "a first word\nforkrig: the rig\x1b[2J cannot run")
		return 3
	case "flood":
		for range 100_000 {
			fmt.Println("this is no line of JSON")
		}
		say(Line{Answer: &probes.Answer{ID: "K1", Value: "OK"}})
	case "hang":
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP) // which nothing sends; without it Go would see a deadlock
		<-hangup
	}
	return 0
}

func jobs(names ...string) (all []Job) {
	for _, name := range names {
		all = append(all, Job{Name: name, Args: []string{"job", name}})
	}
	return all
}

// TestRunOnThisKernel: what one job does wrong does not keep the others from being done.
func TestRunOnThisKernel(t *testing.T) {
	var told []string
	var known [][]Column
	plan := Plan{Kernels: []string{Host}, Jobs: jobs("answer", "die", "flood", "fail", "fail without a reason"),
		Tell: func(kernel, what string) { told = append(told, kernel+": "+what) },
		Done: func(_, _ int, columns []Column) { known = append(known, columns) }}
	columns := plan.Run(t.Context())
	require.Len(t, columns, 1)
	c := columns[0]
	assert.Equal(t, Host, c.Name())
	assert.NotEmpty(t, c.Release)
	assert.Equal(t, "this machine", c.Booted)
	assert.Len(t, c.Answers, 2)
	assert.False(t, c.Right())
	assert.Equal(t, `die: exit status 3: forkrig: the rig\x1b[2J cannot run; asked and not answered: K17`, c.Lost,
		"the status 1 of a job is right where a check failed")
	assert.Equal(t, []string{"host: answer", "host: die", "host: flood", "host: fail", "host: fail without a reason",
		"host: nothing more is known of host: " + c.Lost}, told)

	// After each job it was known what that one had answered.
	require.Len(t, known, len(plan.Jobs)+1)
	assert.Len(t, known[0][0].Answers, 1)
	assert.Equal(t, "it has not ended", known[0][0].Lost)
	assert.Equal(t, columns, known[len(plan.Jobs)])

	c = Plan{Kernels: []string{Host}, Jobs: jobs("answer", "fail without a reason")}.Run(t.Context())[0]
	assert.Equal(t, "fail without a reason: exit status 1, and no check failed", c.Lost)
	assert.Equal(t, "", Plan{Kernels: []string{Host}, Jobs: jobs("answer")}.Run(t.Context())[0].Lost)
}

// TestJobsEnd at their time limits, and when the run ends.
func TestJobsEnd(t *testing.T) {
	plan := Plan{Kernels: []string{Host}, Jobs: jobs("hang", "answer")}
	plan.Jobs[0].Limit = 100 * time.Millisecond
	c := plan.Run(t.Context())[0]
	assert.Equal(t, "hang: it was ended at its time limit of 100ms", c.Lost)
	assert.Len(t, c.Answers, 1)

	plan.Jobs[0].Limit = time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	plan.Kernels, plan.Tell = []string{Host, "6.12"}, func(_, what string) {
		if what == "hang" {
			cancel(errors.New("ended by a test"))
		}
	}
	for _, c := range plan.Run(ctx) {
		assert.Equal(t, "ended by a test", c.Lost)
		assert.Empty(t, c.Answers)
	}
}

// TestKernelThatIsNotHere: the others are asked.
func TestKernelThatIsNotHere(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	columns := Plan{Kernels: []string{"6.12.43", "/no/such/bzImage", Host}, Jobs: jobs("answer"), Parallel: 3}.Run(t.Context())
	assert.Contains(t, columns[0].Lost, "kernel 6.12.43 is not in ")
	assert.Contains(t, columns[0].Lost, ": forkrig kernels fetch 6.12.43")
	assert.Contains(t, columns[1].Lost, "open /no/such/bzImage: no such file or directory")
	assert.Empty(t, columns[2].Lost)
	assert.Len(t, columns[2].Answers, 1)
}

// TestKernelWithoutModules is said, because its answers are less than those of the kernel.
func TestKernelWithoutModules(t *testing.T) {
	report := boot.Report{Boot: 1500 * time.Millisecond, Absent: []string{"tcp_diag"}, Complaints: []string{"a complaint"}}
	var with, without, builtIn Column
	with.note(boot.Kernel{Modules: "modules"}, report)
	without.note(boot.Kernel{}, report)
	builtIn.note(boot.Kernel{}, boot.Report{})
	assert.Equal(t, Column{Boot: 1500, Absent: []string{"tcp_diag"}, Notes: []string{"a complaint"}}, with)
	assert.Equal(t, []string{"a complaint", "it was booted without its modules: what is missing may be in one of them"}, without.Notes)
	assert.Empty(t, builtIn.Notes)
}

// TestLost says what happened to a guest, in one line.
func TestLost(t *testing.T) {
	c := Column{Kernel: "6.12", Found: "6.12.43", asked: []string{"K17"}}
	c.lose([]error{errors.New("card: exit status 3"), fmt.Errorf("boot: %w", &boot.DiedError{Kernel: "6.12.43", Job: "probes",
		Why: "it printed nothing", Console: []string{"Kernel panic"}})})
	assert.Equal(t, "card: exit status 3; it died in probes: it printed nothing; asked and not answered: K17", c.Lost)
	assert.Equal(t, []string{"Kernel panic"}, c.Console)
	assert.True(t, strings.HasPrefix(c.outcome(), "nothing more is known of 6.12.43: card"))
}
