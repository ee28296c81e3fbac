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
	"time"

	"forkrig/checks"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// Options are what the flags say. They have the same names in forkrig and in go test
// ./scenarios/..., which both get them from here.
type Options struct {
	// The subject: what the flags say of a foreign one, and the one that is meant after check.
	judged                                    judge.Subject
	subject, service, storm, byDesign, reload string
	port                                      uint
	vanishing                                 bool

	// The trial.
	checks, family, card, baseline string
	record, junit, events          string
	parallel                       int
	within                         time.Duration
	strict, verbose                bool

	// The search.
	schedules, atOnce                      int
	soak                                   time.Duration
	soakDir, without, shard, replay, merge string

	command []string      // the subject's command line as words, where it was given after "--"
	program string        // how the program was called, for commands that repeat something
	set     *flag.FlagSet // which knows what was set on the command line

	// What check made of it.
	selected []judge.Check
	families []rig.Family
	part     scorecard.Shard
	leftOut  []search.Verb
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
var aboutSubject = []string{"service", "closes", "port", "subject-user", "ready", "on-term", "storm-signals",
	"by-design", "keeps-vanished", "reload", "at-once"}

// notEmpty are the flags that have a value where they are given.
var notEmpty = []string{"service", "checks", "by-design", "family", "scorecard", "junit", "events", "baseline", "record", "reload", "closes",
	"subject-user", "on-term", "storm-signals", "without",
	"on", "kernel", "jobs", "probes", "with", "json"}

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
	switch {
	case len(o.command) > 0 && given:
		return fmt.Errorf("the subject is given twice, by %s and after --: omit one", from)
	case given && o.subject == "":
		return fmt.Errorf("%s is empty: give a command, or omit it to judge the built-in server", from)
	}
	if err := o.checkWritten(); err != nil {
		return err
	}
	for _, name := range aboutSubject {
		if _, given := o.given(name); given && !o.foreign() {
			return fmt.Errorf("-%s describes a subject, but no subject is given: give the subject's command, too", name)
		}
	}
	switch {
	case o.strict && o.baseline != "":
		return errors.New("-strict and -baseline exclude each other: " +
			"with -baseline, a change from pass to warn is worse anyway")
	case strings.EqualFold(filepath.Ext(o.card), ".md"):
		return fmt.Errorf("-scorecard %s: give the name of the JSON file; the Markdown is written beside it", o.card)
	case o.parallel < 0 || o.within < 0 || o.atOnce < 0 || o.schedules < 0 || o.soak < 0:
		return errors.New("-parallel, -within, -at-once, -schedules and -soak take a number or a time of 0 or more")
	case o.parallel > maxParallel:
		return fmt.Errorf("-parallel %d: give at most %d", o.parallel, maxParallel)
	case o.soak > 0 && o.schedules > 0:
		return errors.New("-soak and -schedules exclude each other: give one of them")
	}
	paths := map[string]string{"scorecard": o.card, "baseline": o.baseline, "soak-dir": o.soakDir, "replay": o.replay,
		"record": o.record, "junit": o.junit, "events": o.events}
	for flag, path := range paths {
		absolute, err := filepath.Abs(rig.FromInvoker(path))
		if path != "" && err == nil && strings.HasPrefix(absolute, "/dev/shm/") {
			return fmt.Errorf("-%s %s: the sandbox has a /dev/shm of its own: choose another directory", flag, path)
		}
	}
	for _, family := range rig.Families {
		if o.family == "" || o.family == strconv.Itoa(int(family)) {
			o.families = append(o.families, family)
		}
	}
	if len(o.families) == 0 {
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
	return o.describe()
}

// checkWritten refuses flags without a value, and those that would write the same file, or replace
// the baseline by what is no card.
func (o *Options) checkWritten() error {
	for _, name := range notEmpty {
		if value, given := o.given(name); given && value == "" {
			return fmt.Errorf("-%s is empty: give a value, or omit the flag", name)
		}
	}
	files := []cardFile{{flag: "baseline", name: o.baseline}, {flag: "events", name: o.events}, {flag: "record", name: o.record}}
	for _, f := range o.cardFiles() {
		if f.name == "-" {
			return fmt.Errorf("-%s -: give the name of a file, or /dev/stdout", f.flag)
		}
		for _, other := range files {
			if sameFile(f.name, other.name) && (f.flag != "scorecard" || other.flag != "baseline") {
				return fmt.Errorf("-%s and -%s are both %s: give two names", other.flag, f.flag, f.name)
			}
		}
		files = append(files, f)
	}
	for _, f := range files {
		if f.flag != "scorecard" && o.card != "" && sameFile(f.name, scorecard.MarkdownName(o.card)) {
			return fmt.Errorf("-%s %s is the name of the Markdown of -scorecard: give another name", f.flag, f.name)
		}
	}
	if sameFile(o.baseline, o.events) {
		return fmt.Errorf("-baseline and -events are both %s: give two names", o.events)
	}
	return nil
}

// sameFile says whether both names are of one file that would be written twice.
func sameFile(a, b string) bool {
	if a == "" || b == "" || a == "-" || b == "-" {
		return false
	}
	a, b = rig.FromInvoker(a), rig.FromInvoker(b)
	if infoA, err := os.Stat(a); err == nil {
		infoB, err := os.Stat(b)
		return err == nil && infoA.Mode().IsRegular() && os.SameFile(infoA, infoB)
	}
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// maxParallel is more checks than there are.
const maxParallel = 1000

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
