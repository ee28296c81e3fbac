// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"forkrig/dialogue"
)

func (o *Options) subjectFlags(f *flag.FlagSet) {
	f.StringVar(&o.subject, "subject", os.Getenv(subjectEnv),
		"the server under test: this `COMMAND` starts it, split into words as a shell does (environment: "+subjectEnv+")")
	f.StringVar(&o.service, "service", dialogue.Auto, "what clients say to the subject: `auto|PRESET|DIALOGUE|@FILE`; "+
		"auto detects a preset, such as http or none (docs/dialogues.md)")
	f.StringVar((*string)(&o.judged.Closes), "closes", "",
		"the side that closes a connection first, `client|server`; this overrides the dialogue")
	f.UintVar(&o.port, "port", 0, "the `PORT` on which the subject listens, which replaces {port} in its command "+
		"(9999 if not given); without -port and {port}, forkrig detects the port")
	f.StringVar(&o.judged.User, "subject-user", "", "run the subject as the user of this `NAME` or number (needs root)")
	f.DurationVar(&o.judged.Ready, "ready", 10*time.Second,
		"the longest `TIME` that the subject needs until it listens; up to four times as long while it is still busy")
	f.StringVar((*string)(&o.judged.OnTerm), "on-term", "", "what SIGTERM should do to workers with a client: "+
		"`drain|kill|leave`; without this flag each of them passes, and the card names it")
	f.StringVar(&o.storm, "storm-signals", "", "more `SIGNALS` that the subject should survive, such as HUP,USR1")
	f.StringVar(&o.byDesign, "by-design", "",
		"a fail of these `CHECKS` is intended, such as second-instance,concurrent: the verdict is by-design instead")
	f.BoolVar(&o.vanishing, "keeps-vanished", false, "the old name of -by-design vanished-client")
	f.StringVar(&o.reload, "reload", "", "what makes the subject reload: `HUP|USR2|'COMMAND with {pid}'`, "+
		"a signal to its first process or a command; without this flag, the check reload is skipped")
	f.StringVar(&o.family, "family", "", "use IPv4 or IPv6 only: `4|6`")
}

const subjectEnv = "FORKRIG_SUBJECT"

// trialFlags adds the flags of a trial that go test has no flags of its own for.
func (o *Options) trialFlags(f *flag.FlagSet) {
	f.StringVar(&o.checks, "checks", "", "run only these `CHECKS`, such as reap,eintr-accept; list prints them all")
	f.StringVar(&o.card, "scorecard", "", "write the scorecard as JSON to this `FILE`, "+
		"and as Markdown beside it (.md); both are written again after each check")
	f.StringVar(&o.baseline, "baseline", "",
		"compare with the card in this `FILE`: the exit status is 1 only where something became worse")
	f.BoolVar(&o.strict, "strict", false, "the exit status is 1 for a warning, too")
	f.DurationVar(&o.within, "within", 0, "end the run after this `TIME`, such as 2m "+
		"(if not given: 1m, or longer on a busy machine); the card has the results up to then")
}

// reportFlags adds the flags for what others read while a run goes on, or when it has ended.
func (o *Options) reportFlags(f *flag.FlagSet) {
	o.junitFlag(f)
	o.eventsFlag(f)
}

func (o *Options) eventsFlag(f *flag.FlagSet) {
	f.StringVar(&o.events, "events", "", "write each event as a line of JSON to this `FILE`, as it happens; "+
		"- means standard output, and the text for people then goes to standard error")
}

func (o *Options) junitFlag(f *flag.FlagSet) {
	f.StringVar(&o.junit, "junit", "", "write the scorecard as JUnit XML to this `FILE`, too")
}

func (o *Options) recordFlag(f *flag.FlagSet) {
	f.StringVar(&o.record, "record", "", "write what happened in each lab to this `DIRECTORY`, as a page for a browser and "+
		"in other forms (docs/recordings.md); without this flag, -scorecard and -soak record only what fails, beside the card")
}

// programFlags adds the flags of a trial for which go test has flags of its own.
func (o *Options) programFlags(f *flag.FlagSet) {
	f.IntVar(&o.parallel, "parallel", 0, "run `N` checks at a time, at most 1000; 0 means twelve for each processor")
	f.BoolVar(&o.verbose, "v", false, "print the journal as it happens, and at the end all evidence")
}

func (o *Options) searchFlags(f *flag.FlagSet) {
	f.IntVar(&o.schedules, "schedules", 0, "play `N` random stories (with the built-in server, N for each of its configurations)")
	f.DurationVar(&o.soak, "soak", 0,
		"search for this `TIME`, with new seeds, and write the failing stories to -soak-dir")
	f.StringVar(&o.soakDir, "soak-dir", "soak", "the `DIRECTORY` for the scorecard and the failing stories of -soak")
	f.IntVar(&o.atOnce, "at-once", 0, "the subject serves at most `N` clients at a time; 0 means no limit")
	f.StringVar(&o.without, "without", "",
		"leave these `ACTIONS` out of random stories, such as exhaust-descriptors,storm")
	f.StringVar(&o.shard, "shard", "", "search only a part of the seeds: `i/n`, from 0/n to n-1/n on n machines "+
		"(environment: FORKRIG_SHARD, or JOB_COMPLETION_INDEX and JOB_COMPLETIONS)")
}

// flagsOf returns the flags that define adds to the flag set of the options, which is one
// of package flag, as flags of the command line library, so that each flag is described once.
func flagsOf(o *Options, define ...func(*flag.FlagSet)) []cli.Flag {
	o.set = flag.NewFlagSet("", flag.ContinueOnError)
	for _, d := range define {
		d(o.set)
	}
	var flags []cli.Flag
	given := map[string]bool{}
	o.set.VisitAll(func(f *flag.Flag) {
		getter, _ := f.Value.(flag.Getter) // those of package flag are
		shown := shownDefault(f)
		flags = append(flags, &cli.GenericFlag{
			Name: f.Name, Usage: f.Usage, Value: value{getter, f.Name, o.set, given}, DefaultText: shown,
			HideDefault: shown == "", TakesFile: slices.Contains([]string{"scorecard", "junit", "events", "baseline", "record", "soak-dir"}, f.Name)})
	})
	return flags
}

// value is that of a flag in a set, which notes when it is set.
type value struct {
	flag.Getter
	name  string
	in    *flag.FlagSet
	given map[string]bool // the flags that were set already
}

// Set implements [flag.Value]. A flag that is given twice is refused: the last one would win, and
// what the first one asked for would be missing without a word.
func (v value) Set(text string) error {
	if v.given[v.name] {
		return errors.New("the flag is there twice: give it once")
	}
	v.given[v.name] = true
	return v.in.Set(v.name, text)
}

// IsBoolFlag says whether the flag needs no value: see [flag.Value].
func (v value) IsBoolFlag() bool {
	b, ok := v.Getter.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

func init() {
	cli.FlagStringer = describeFlag
}

// describeFlag is a flag in help: it has one dash, as in the README. The parser takes two
// as well.
func describeFlag(f cli.Flag) string {
	g, ok := f.(*cli.GenericFlag)
	if !ok { // that of the library itself
		return "-" + strings.Join(f.Names(), ", -") + "\tshow help"
	}
	placeholder, usage := flag.UnquoteUsage(&flag.Flag{Name: g.Name, Usage: g.Usage, Value: g.Value})
	if b, ok := g.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		placeholder = ""
	}
	if !g.HideDefault {
		usage += " (default: " + g.DefaultText + ")"
	}
	return strings.TrimSpace("-"+g.Name+" "+placeholder) + "\t" + usage
}

// shownDefault is the default value as help shows it, "" for one that says nothing, and for that
// of -subject, which comes from the environment.
func shownDefault(f *flag.Flag) string {
	if slices.Contains([]string{"0", "0s", "false"}, f.DefValue) || f.Name == "subject" {
		return ""
	}
	return f.DefValue
}
