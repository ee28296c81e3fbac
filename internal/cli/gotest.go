// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"forkrig/report"
	"forkrig/rig"
)

// TestFlags adds the flags of judge, search, replay and merge to those of a test binary, under
// the same names, and returns what they will say. -v and -parallel are go test's own.
func TestFlags(f *flag.FlagSet) *Options {
	o := &Options{set: f}
	o.subjectFlags(f)
	o.trialFlags(f)
	o.searchFlags(f)
	o.reportFlags(f)
	o.recordFlag(f)
	f.StringVar(&o.replay, "replay", "", "play the story in this `FILE` of -soak-dir again, with -subject, "+
		"or without -subject with the server that the story names")
	f.StringVar(&o.merge, "merge", "", "merge the scorecards and failing stories below the directories in the arguments "+
		"into this new `DIRECTORY`,\nand exit: 0 if all shards are there and nothing failed, 1 if not, "+
		"2 if they cannot be merged; needs no privilege")
	return o
}

// TestMain is the whole of a test binary's TestMain: it merges where that is asked for,
// and otherwise runs the tests of m in a sandbox. Where the flags ask for a scorecard, a
// search or a story, only the test runs that provides it: TestScorecard, TestSearch or
// TestReplay.
func (o *Options) TestMain(m interface{ Run() int }, programs rig.Programs) {
	rig.Dispatch(programs)
	flag.Parse()
	if _, given := o.given("merge"); given {
		// It needs no sandbox: what was judged with privileges is merged without.
		out := newOutput(os.Stdout)
		status, err := statusUsage, o.checkWritten()
		switch {
		case err == nil && o.events != "":
			err = errors.New("-merge writes no events: omit -events")
		case err == nil:
			status, err = out.merge(append([]string{o.merge}, flag.Args()...), o.furtherFiles())
		}
		if err != nil {
			complain(err)
		}
		os.Exit(out.status(status))
	}
	rig.Main(suite{m, o}, programs)
}

// suite is the tests with the flags looked at first.
type suite struct {
	tests interface{ Run() int }
	*Options
}

// Run refuses wrong flags with one line, or runs the tests.
func (s suite) Run() int {
	if s.checks == "list" {
		list(rig.Announce())
		return statusRight
	}
	for _, check := range []func() error{s.checkTestFlags, s.check, s.chooseTest} {
		if err := check(); err != nil {
			complain(err)
			return statusUsage
		}
	}
	if n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); err == nil {
		s.parallel = n
	}
	return s.tests.Run()
}

func (o *Options) checkTestFlags() error {
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is not a flag: quote the whole command after -subject", flag.Arg(0))
	}
	if o.replay != "" && (o.soak > 0 || o.schedules > 0) {
		return errors.New("-replay, -soak and -schedules exclude each other: give one of them")
	}
	if o.replay != "" && (o.junit != "" || o.events != "") {
		return errors.New("-replay writes no card and no events: omit -junit and -events")
	}
	limit, err := time.ParseDuration(flag.Lookup("test.timeout").Value.String())
	if err == nil && limit > 0 && o.soak > 0 && limit < o.soak+5*time.Minute {
		return fmt.Errorf("-soak %v does not fit into -timeout %v: add -timeout 0", o.soak, limit)
	}
	return nil
}

// Asked says whether a scorecard was asked for, so that it is printed.
func (o *Options) Asked() bool {
	return o.foreign() || o.checks != "" || o.card != "" || o.baseline != "" || o.junit != "" || o.events != ""
}

// SearchAsked says whether a search was asked for.
func (o *Options) SearchAsked() bool { return o.soak > 0 || o.schedules > 0 }

// StoryAsked returns the file of the story that is to be played, "" where there is none.
func (o *Options) StoryAsked() string { return o.replay }

// chooseTest makes what the flags ask for the test that runs.
func (o *Options) chooseTest() error {
	name := ""
	switch {
	case o.replay != "":
		name = "^TestReplay$"
	case o.SearchAsked():
		name = "^TestSearch$"
	case o.Asked():
		name = "^TestScorecard$"
	default:
		return nil
	}
	run := flag.Lookup("test.run").Value
	switch {
	case run.String() == "":
		return run.Set(name)
	case name != "^TestScorecard$" && run.String() != name && run.String() != "Search":
		return fmt.Errorf("-schedules, -soak and -replay choose the test that runs: omit -run %s", run)
	}
	return nil
}

// Record has the lab of a test recorded where -record asks for it: see [report.Always].
func (o *Options) Record(tb rig.TB) (record func(*rig.Lab)) {
	if o.record == "" {
		return func(*rig.Lab) {}
	}
	return report.Always(tb, rig.FromInvoker(o.record))
}

// printed calls f with the file as its output.
func printed(tb rig.TB, file *os.File, f func(rig.TB, *output) int) int {
	out := newOutput(file)
	return out.status(f(tb, out))
}

// Judge judges the subject, tells file what happens, writes the card that was asked for as
// it grows, and returns the exit status. It does not fail tb.
func (o *Options) Judge(tb rig.TB, file *os.File) int { return printed(tb, file, o.judge) }

// Search plays random stories at the subject, and is otherwise as [Options.Judge].
func (o *Options) Search(tb rig.TB, file *os.File) int { return printed(tb, file, o.search) }

// Replay plays the story in the file that was asked for, and is otherwise as [Options.Judge].
func (o *Options) Replay(tb rig.TB, file *os.File) int {
	story, err := readStory(o.replay)
	if err != nil {
		complain(fmt.Errorf("-replay: %w", err))
		return statusUsage
	}
	return printed(tb, file, o.playing(story))
}
