// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// Options are what the flags say. They have the same names in forkrig and in go test
// ./scenarios/..., which both get them from here.
type Options struct {
	// The subject: what the flags say of a foreign one, and the one that is meant after check.
	judged    judge.Subject
	subject   string
	service   string
	port      uint
	storm     string
	byDesign  string
	vanishing bool
	reload    string

	// The trial.
	checks   string
	family   string
	parallel int
	within   time.Duration
	card     string
	baseline string
	strict   bool
	verbose  bool

	// The search.
	schedules int
	soak      time.Duration
	soakDir   string
	atOnce    int
	without   string
	shard     string
	replay    string
	merge     string

	// command is the subject's command line as words, where it was given after "--".
	command []string
	// program is how the program was called, for commands that repeat something.
	program string
	// set has the flags, and knows which were set on the command line.
	set *flag.FlagSet

	// What check made of it.
	selected []judge.Check
	families []rig.Family
	part     scorecard.Shard
	leftOut  []search.Verb
	story    search.Story
}

// subjectFlags adds the flags that describe a subject.
func (o *Options) subjectFlags(f *flag.FlagSet) {
	f.StringVar(&o.subject, "subject", os.Getenv(subjectEnv),
		"the server under test: this `COMMAND` starts it, split into words as a shell does (environment: "+subjectEnv+")")
	f.StringVar(&o.service, "service", dialogue.Auto, "what is said to the subject: `auto|PRESET|DIALOGUE|@FILE`; auto finds a preset out, such as http or none (docs/dialogues.md)")
	f.StringVar((*string)(&o.judged.Closes), "closes", "", "the side that closes a connection first, `client|server`, where it is not the one of the dialogue")
	f.UintVar(&o.port, "port", 0, "the `PORT` that is built into the subject; where its command has {port}, the one that it stands for; without both, the one on which it listens")
	f.StringVar(&o.judged.User, "subject-user", "", "run the subject as the user of this `NAME` or number (needs root)")
	f.DurationVar(&o.judged.Ready, "ready", 10*time.Second, "the longest `TIME` that the subject needs until it listens; up to four times as long while it is seen to work")
	f.StringVar((*string)(&o.judged.OnTerm), "on-term", "", "what SIGTERM should do to workers that still converse: `drain|kill|leave`; without it, each is right and reported")
	f.StringVar(&o.storm, "storm-signals", "", "further `SIGNALS` that the subject should survive, such as HUP,USR1")
	f.StringVar(&o.byDesign, "by-design", "", "what these `CHECKS` find is meant, such as second-instance,concurrent: a fail of them becomes by-design")
	f.BoolVar(&o.vanishing, "keeps-vanished", false, "the old name of -by-design vanished-client")
	f.StringVar(&o.reload, "reload", "", "how the subject is told to reload: `HUP|USR2|'COMMAND with {pid}'`, a signal to its first process or a command; without it, reload is skipped")
	f.StringVar(&o.family, "family", "", "use IPv4 or IPv6 only: `4|6`")
}

const subjectEnv = "FORKRIG_SUBJECT"

// trialFlags adds the flags of a trial that go test has no flags of its own for.
func (o *Options) trialFlags(f *flag.FlagSet) {
	f.StringVar(&o.checks, "checks", "", "run only these `CHECKS`, such as reap,eintr-accept; list prints them all")
	f.StringVar(&o.card, "scorecard", "", "write the scorecard as JSON to this `FILE`, and as Markdown to the one beside it that ends in .md, as the checks end")
	f.StringVar(&o.baseline, "baseline", "", "compare with the card in this `FILE`: the exit status is 1 only where something became worse")
	f.BoolVar(&o.strict, "strict", false, "the exit status is 1 for a warning, too")
	f.DurationVar(&o.within, "within", 0, "end the run after this `TIME`, such as 2m, and without it after 1m, or later on a busy machine; the card keeps the results until then")
}

// programFlags adds the flags of a trial for which go test has flags of its own.
func (o *Options) programFlags(f *flag.FlagSet) {
	f.IntVar(&o.parallel, "parallel", 0, "run `N` checks at a time, at most 1000; 0 means twelve for each processor")
	f.BoolVar(&o.verbose, "v", false, "print the journal as it happens, and at the end all evidence")
}

// searchFlags adds the flags of a search.
func (o *Options) searchFlags(f *flag.FlagSet) {
	f.IntVar(&o.schedules, "schedules", 0, "play `N` random stories for each way in which the server runs")
	f.DurationVar(&o.soak, "soak", 0, "search for this `TIME`, with new seeds, and write the failing stories to -soak-dir")
	f.StringVar(&o.soakDir, "soak-dir", "soak", "the `DIRECTORY` for the scorecard and the failing stories of -soak")
	f.IntVar(&o.atOnce, "at-once", 0, "the subject serves at most `N` clients at a time; 0 means no limit")
	f.StringVar(&o.without, "without", "", "leave these `ACTIONS` out of random stories, such as exhaust-descriptors,storm")
	f.StringVar(&o.shard, "shard", "", "search only a part of the seeds: `i/n`, from 0/n to n-1/n on n machines (environment: "+
		"FORKRIG_SHARD, or JOB_COMPLETION_INDEX and JOB_COMPLETIONS)")
}

// given returns the text of a flag, and whether it was set on the command line.
func (o *Options) given(name string) (text string, given bool) {
	o.set.Visit(func(f *flag.Flag) {
		if f.Name == name {
			text, given = f.Value.String(), true
		}
	})
	return text, given
}

// aboutSubject are the flags that say something about the subject.
var aboutSubject = []string{"service", "closes", "port", "subject-user", "ready", "on-term", "storm-signals", "by-design", "keeps-vanished", "reload", "at-once"}

// foreign says whether a subject was given, so that the built-in server is not meant.
func (o *Options) foreign() bool { return len(o.command) > 0 || o.subject != "" }

// check refuses flags that are wrong, or that would be without effect: a mistake must
// not look like a subject that is right.
func (o *Options) check() (err error) {
	from := "-subject"
	_, given := o.given("subject")
	if _, set := os.LookupEnv(subjectEnv); set && !given {
		from, given = "the environment variable "+subjectEnv, true
	}
	if len(o.command) > 0 && given {
		return fmt.Errorf("the subject is given twice, by %s and after --: omit one", from)
	}
	if given && o.subject == "" {
		return fmt.Errorf("%s is empty: give a command, or omit it to judge the built-in server", from)
	}
	for name, value := range map[string]string{"service": o.service, "checks": o.checks, "by-design": o.byDesign, "family": o.family, "scorecard": o.card, "baseline": o.baseline, "reload": o.reload,
		"closes": string(o.judged.Closes), "subject-user": o.judged.User, "on-term": string(o.judged.OnTerm), "storm-signals": o.storm, "without": o.without} {
		if _, given := o.given(name); given && value == "" {
			return fmt.Errorf("-%s is empty: give a value, or omit the flag", name)
		}
	}
	for _, name := range aboutSubject {
		if _, given := o.given(name); given && !o.foreign() {
			return fmt.Errorf("-%s describes a subject, but no subject is given: give the subject's command, too", name)
		}
	}
	if o.strict && o.baseline != "" {
		return errors.New("-strict and -baseline exclude each other: compared with a card, pass to warn is worse in any case")
	}
	if strings.EqualFold(filepath.Ext(o.card), ".md") {
		return fmt.Errorf("-scorecard %s: give the name of the JSON file; the Markdown is written beside it", o.card)
	}
	if o.card == "-" {
		return errors.New("-scorecard -: give the name of a file, or /dev/stdout")
	}
	if o.parallel < 0 || o.within < 0 || o.atOnce < 0 || o.schedules < 0 || o.soak < 0 {
		return errors.New("-parallel, -within, -at-once, -schedules and -soak take a number or a time of 0 or more")
	}
	if o.parallel > maxParallel {
		return fmt.Errorf("-parallel %d: give at most %d", o.parallel, maxParallel)
	}
	if o.soak > 0 && o.schedules > 0 {
		return errors.New("-soak and -schedules exclude each other: give one of them")
	}
	for flag, path := range map[string]string{"scorecard": o.card, "baseline": o.baseline, "soak-dir": o.soakDir, "replay": o.replay} {
		if absolute, err := filepath.Abs(rig.FromInvoker(path)); path != "" && err == nil && strings.HasPrefix(absolute, "/dev/shm/") {
			return fmt.Errorf("-%s %s: the sandbox has a /dev/shm of its own: choose another directory", flag, path)
		}
	}
	switch o.family {
	case "":
		o.families = rig.Families[:]
	case "4":
		o.families = []rig.Family{rig.IPv4}
	case "6":
		o.families = []rig.Family{rig.IPv6}
	default:
		return fmt.Errorf("-family %q: give 4 or 6", o.family)
	}
	if o.part, err = search.ChooseShard(o.shard, os.LookupEnv); err != nil {
		return err
	}
	if o.leftOut, err = search.ParseVerbs(o.without); err != nil {
		return fmt.Errorf("-without: %w", err)
	}
	if o.selected, err = checks.Select(o.checks); err != nil {
		return fmt.Errorf("-checks: %w", err)
	}
	if err := o.describe(); err != nil || o.replay == "" {
		return err
	}
	o.story, err = readStory(o.replay)
	return err
}

// maxParallel is more checks than there are.
const maxParallel = 1000

// describe completes the description of the server that is meant.
func (o *Options) describe() (err error) {
	if !o.foreign() {
		o.judged = BuiltIn()
		return nil
	}
	o.judged.Command, o.judged.Dir, o.judged.Port = o.command, rig.FromInvoker("."), uint16(o.port)
	if len(o.command) == 0 {
		if o.judged.Command, err = judge.SplitWords(o.subject); err != nil {
			return fmt.Errorf("-subject: %w", err)
		}
	}
	if o.port > 65535 {
		return fmt.Errorf("-port %d: give one from 1 to 65535", o.port)
	}
	if err := rig.CheckUser(o.judged.User); err != nil {
		return fmt.Errorf("-subject-user: %w", err)
	}
	o.judged.ByDesign = nil
	if o.byDesign != "" {
		meant, err := checks.Select(o.byDesign)
		if err != nil {
			return fmt.Errorf("-by-design: %w", err)
		}
		for _, check := range meant {
			o.judged.ByDesign = append(o.judged.ByDesign, check.Name)
		}
	}
	if o.vanishing && !slices.Contains(o.judged.ByDesign, "vanished-client") {
		o.judged.ByDesign = append(o.judged.ByDesign, "vanished-client")
	}
	if o.judged.Service, err = resolveService(o.service); err != nil {
		return err
	}
	if o.judged.StormSignals, err = parseSignals(o.storm); err != nil {
		return fmt.Errorf("-storm-signals: %w", err)
	}
	if o.judged.Reload, err = parseReload(o.reload); err != nil {
		return fmt.Errorf("-reload: %w", err)
	}
	return o.judged.Check()
}

// resolveService reads the value of -service. [dialogue.Auto] is the zero value.
func resolveService(written string) (dialogue.Service, error) {
	if name, file := strings.CutPrefix(written, "@"); file {
		text, err := readDialogue(rig.FromInvoker(name))
		if err != nil {
			return dialogue.Service{}, fmt.Errorf("-service @%s: %w", name, err)
		}
		written = text
	}
	if strings.TrimSpace(written) == dialogue.Auto {
		return dialogue.Service{}, nil
	}
	service, err := dialogue.Resolve(written)
	if err != nil {
		return service, fmt.Errorf("-service: %w", err)
	}
	return service, nil
}

// readDialogue reads a file with a dialogue.
func readDialogue(name string) (string, error) {
	const maxBytes = 1 << 20
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return "", errors.New("this is no file with a dialogue: give a regular file of at most 1 MiB")
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// BuiltIn is the reference server as a subject, with further arguments. The program
// contains it as the helper program "server".
func BuiltIn(args ...string) judge.Subject {
	return judge.Subject{
		Command: rig.Program("server", append([]string{"-listen", "{ip}:{port}"}, args...)...).Args,
		Service: dialogue.MustResolve("echo"), Closes: judge.Client,
		StormSignals: []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2},
		Reload:       judge.Reload{Signal: syscall.SIGHUP},
	}
}

// parseReload reads the name of a signal or a command.
func parseReload(text string) (judge.Reload, error) {
	words, err := judge.SplitWords(text)
	if len(words) != 1 || strings.Contains(text, "{pid}") {
		return judge.Reload{Command: words}, err
	}
	signals, err := parseSignals(words[0])
	if err != nil || len(signals) != 1 {
		return judge.Reload{}, cmp.Or(err, errors.New("give one signal"))
	}
	return judge.Reload{Signal: signals[0]}, nil
}

// parseSignals reads names such as USR1 or SIGUSR1, separated by commas.
func parseSignals(list string) ([]syscall.Signal, error) {
	var found []syscall.Signal
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		signal := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
		switch signal {
		case 0:
			return nil, fmt.Errorf("there is no signal %q: give names of signal(7), such as USR1", name)
		case syscall.SIGKILL, syscall.SIGSTOP:
			return nil, errors.New("SIGKILL and SIGSTOP cannot be caught: give signals that a process can catch, such as USR1")
		}
		found = append(found, signal)
	}
	return found, nil
}

// newSeed is that of the environment, which [rig.CheckEnvironment] has looked at, or any.
func newSeed() uint64 {
	seed, err := strconv.ParseUint(os.Getenv(rig.SeedEnv), 10, 64)
	if err != nil {
		return rand.Uint64N(search.MaxSeed + 1)
	}
	return seed
}

// repeatCommand is a command line that does one thing of the run again: the subcommand,
// what is special to the thing, and the flags about the subject.
func (o *Options) repeatCommand(seed uint64, subcommand string, special ...string) string {
	words := append([]string{cmp.Or(o.program, "forkrig"), subcommand}, special...)
	for _, name := range append(slices.Clone(aboutSubject), "without") {
		text, given := o.given(name)
		if !given || (name == "at-once" || name == "without") && subcommand != "search" {
			continue
		}
		words = append(words, "-"+name+"="+text)
	}
	if o.foreign() {
		words = append(append(words, "--"), o.judged.Command...)
	}
	command := fmt.Sprintf("%s=%d %s", rig.SeedEnv, seed, rig.Command{Args: words})
	if os.Geteuid() == 0 && !rig.Rootless() {
		return "sudo " + command
	}
	return command
}
