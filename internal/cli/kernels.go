// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"forkrig/judge"
	"forkrig/kernels"
	"forkrig/kernels/archive"
	"forkrig/kernels/boot"
	"forkrig/kernels/probes"
	"forkrig/rig"
	"forkrig/scorecard"
)

// kernelOptions are the flags of forkrig kernels, beside those of a trial.
type kernelOptions struct {
	Options
	on, kernel, jobs, probes, with, table string
	tests, testRun                        string
	limit                                 time.Duration
	guests                                int
	lines                                 bool
}

func (o *kernelOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.on, "on", strings.Join(kernels.Defaults, ","), "the `KERNELS`, such as 5.10,6.12.43,uml:7.2, host for that of this "+
		"machine, all for those that were fetched, or the path of a bzImage or of linux.uml with :MODULES")
	f.StringVar(&o.kernel, "kernel", "", "one more kernel: `FILE[:MODULES]`")
	f.StringVar(&o.jobs, "jobs", "", "what each kernel does: `probes,binds,card`; without it all, and with a command the card")
	f.StringVar(&o.probes, "probes", "", "ask only these `PROBES`, such as K15,K17")
	f.StringVar(&o.with, "with", "", "further `FILES` and directories that the command needs, separated by commas")
	f.StringVar(&o.tests, "tests", "", "run these `FILES`, test binaries of Go, on each kernel, separated by commas")
	f.StringVar(&o.testRun, "run", "", "run only the tests of -tests that match this `PATTERN`, as -test.run")
	f.StringVar(&o.table, "json", "", "write the table as JSON to this `FILE`, and as Markdown to the one beside it that ends in .md")
	f.DurationVar(&o.limit, "limit", 5*time.Minute, "end each job of a kernel after this `TIME`")
	f.IntVar(&o.guests, "guests", 0, "boot `N` kernels at a time; 0 means as many as there are processors and memory for")
	f.BoolVar(&o.lines, "lines", false, "print what is known of this machine's kernel as lines of JSON, as it is known (with -on host)")
}

func (p *program) kernels() *cli.Command {
	o := &kernelOptions{Options: Options{program: os.Args[0]}}
	return &cli.Command{
		Name:      "kernels",
		Usage:     "say what differs between kernels, and whether a server behaves the same on all of them",
		ArgsUsage: "[-- COMMAND…]",
		UsageText: "forkrig kernels fetch [KERNEL…]\nforkrig kernels list\nforkrig kernels [flags] [-- COMMAND…]\n\n" +
			"forkrig kernels fetch 6.12.43 uml:7.2\n" +
			"forkrig kernels -on 5.10,6.12.43,host -jobs probes\n" +
			"forkrig kernels -on 6.1,7.3 -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat",
		Description: "Kernels are fetched from Debian's archive into the user's cache and booted by QEMU, or as User-mode Linux;\n" +
			"nothing is installed, and no privilege is needed. Each answers the probes and the bind table, and judges\n" +
			"the server. Printed are the rows in which kernels differ. Exit status: 0, 1 a check failed or is broken,\n" +
			"2 the command line is wrong, 3 a kernel is not here, did not boot or died.",
		Flags: flagsOf(&o.Options, o.subjectFlags, o.flags, func(f *flag.FlagSet) {
			f.StringVar(&o.checks, "checks", "", "judge by these `CHECKS` only, such as reap,eintr-accept")
			f.DurationVar(&o.within, "within", 0, "end the judging on a kernel after this `TIME`; without it, -limit ends it")
		}),
		Action: p.run(func(c *cli.Command) (int, error) {
			words := c.Args().Slice()
			switch dashes := slices.Contains(os.Args, "--"); {
			case !dashes && len(words) > 0 && words[0] == "fetch":
				return fetchKernels(words[1:])
			case !dashes && len(words) == 1 && words[0] == "list":
				return listKernels(p.out)
			case !dashes && len(words) > 0:
				return statusUsage, fmt.Errorf("%q: give fetch, list, or -- before the subject's command", words[0])
			}
			return o.main(words, p.out)
		}),
	}
}

const (
	jobProbes = "probes"
	jobBinds  = "binds"
	jobCard   = "card"
)

// main puts the questions to the kernels, or to that of this machine where a kernel runs it.
func (o *kernelOptions) main(command []string, out *output) (status int, err error) {
	if err := o.checkJobs(len(command) > 0 || o.subject != ""); err != nil {
		return statusUsage, err
	}
	if o.lines {
		return o.inSandbox(command, out, o.sayLines)
	}
	o.command = command
	if err := checkDashes(command); err != nil {
		return statusUsage, err
	}
	if err := o.check(); err != nil {
		return statusUsage, err
	}
	names, err := o.names()
	if err != nil {
		return statusUsage, err
	}
	if err := checkTableFile(o.table); err != nil {
		return statusUsage, fmt.Errorf("-json: %w", err)
	}
	ctx, stop := (&Options{}).bounded(context.Background())
	defer stop()
	plan := kernels.Plan{Kernels: names, Parallel: o.guests, Files: o.files(), Tell: func(kernel, what string) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", kernel, scorecard.Printable(what))
	}}
	if plan.Parallel == 0 {
		plan.Parallel = runtime.NumCPU()
	}
	for job := range strings.SplitSeq(o.jobs, ",") {
		if job == "" { // -tests alone
			continue
		}
		plan.Jobs = append(plan.Jobs, kernels.Job{Name: job, Limit: o.limit, Args: o.jobArgs(job)})
	}
	for _, file := range o.testFiles() {
		job := kernels.Job{Name: filepath.Base(file), Test: file, Limit: o.limit, Args: []string{"-test.v", "-test.timeout=" + o.limit.String()}}
		if o.testRun != "" {
			job.Args = append(job.Args, "-test.run="+o.testRun)
		}
		plan.Jobs = append(plan.Jobs, job)
		plan.Files = append(plan.Files, file)
	}
	columns := plan.Run(ctx)
	subject := ""
	if o.foreign() {
		subject = o.judged.String()
	}
	table := kernels.NewTable(subject, columns)
	if o.table != "" {
		if err := writeTable(o.table, table, o.repeat); err != nil {
			return statusUnable, fmt.Errorf("-json: %w", err)
		}
	}
	_ = table.WriteMarkdown(out, o.repeat) // out knows an error
	return statusOfColumns(columns), nil
}

// statusOfColumns is the exit status: a check that failed counts more than a kernel that was lost.
func statusOfColumns(columns []kernels.Column) int {
	status := statusRight
	for _, c := range columns {
		switch {
		case !c.Right():
			return statusWrong
		case c.Lost != "":
			status = statusUnable
		}
	}
	return status
}

func (o *kernelOptions) checkJobs(foreign bool) error {
	if o.jobs == "" {
		o.jobs = strings.Join([]string{jobProbes, jobBinds, jobCard}, ",")
		switch {
		case o.tests != "":
			o.jobs = ""
		case foreign:
			o.jobs = jobCard
		}
	}
	for _, job := range strings.Split(o.jobs, ",") {
		if o.jobs != "" && !slices.Contains([]string{jobProbes, jobBinds, jobCard}, job) {
			return fmt.Errorf("-jobs: there is no job %q: give some of probes, binds and card", job)
		}
	}
	if o.limit <= 0 || o.guests < 0 {
		return errors.New("-limit takes a time of more than 0, and -guests a number of 0 or more")
	}
	if o.lines && o.on != kernels.Host {
		return errors.New("-lines is for this machine's kernel: give -on host, too")
	}
	if o.with != "" {
		for _, name := range strings.Split(o.with, ",") {
			if _, err := os.Stat(name); err != nil {
				return fmt.Errorf("-with: %w: give files and directories, separated by commas", err)
			}
		}
	}
	if err := o.checkTests(); err != nil {
		return err
	}
	_, err := o.asked()
	return err
}

// asked returns the probes that were chosen.
func (o *kernelOptions) asked() (chosen []probes.Probe, err error) {
	if o.probes == "" {
		return probes.All(), nil
	}
	for _, id := range strings.Split(o.probes, ",") {
		i := slices.IndexFunc(probes.All(), func(p probes.Probe) bool { return p.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("-probes: there is no probe %q: forkrig kernels -on host -jobs probes lists them", id)
		}
		chosen = append(chosen, probes.All()[i])
	}
	return chosen, nil
}

// names returns the kernels that were chosen.
func (o *kernelOptions) names() (names []string, err error) {
	for _, name := range strings.Split(o.on, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return nil, errors.New("-on: a name is empty: give kernels such as 5.10,6.12.43,host")
		}
		if name != "all" {
			names = append(names, name)
			continue
		}
		a, err := archive.System(context.Background())
		if err != nil {
			return nil, err
		}
		fetched, err := a.Kernels()
		if err != nil {
			return nil, err
		}
		for _, k := range fetched {
			names = append(names, k.Name)
		}
		names = append(names, kernels.Host)
	}
	if o.kernel != "" {
		names = append(names, o.kernel)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("-on: %s is there twice", name)
		}
		if strings.Contains(name, "/") {
			if _, _, err := boot.Open(name); err != nil {
				return nil, fmt.Errorf("-on: %w: give the path of a bzImage or of linux.uml", err)
			}
		}
	}
	return names, nil
}

// inGuest returns the subject's command with the paths of this machine's files in full, because a
// guest has another working directory, and the files that it names: its program, words that are
// paths, and the dialogue.
func (o *kernelOptions) inGuest() (command, files []string) {
	if !o.foreign() {
		return nil, nil
	}
	for i, word := range o.judged.Command {
		if program, err := exec.LookPath(word); i == 0 && err == nil {
			word = program
		}
		path, err := filepath.Abs(word)
		info, statErr := os.Stat(path)
		if err == nil && statErr == nil && (info.Mode().IsRegular() || info.IsDir() && strings.Contains(word, "/")) {
			files = append(files, path)
			word = path
		}
		command = append(command, word)
	}
	if name, file := strings.CutPrefix(o.service, "@"); file {
		if path, err := filepath.Abs(name); err == nil {
			files = append(files, path)
		}
	}
	return command, files
}

// files are what guests need of this machine's files: those that the command names, those of -with,
// and the tables of users and services.
func (o *kernelOptions) files() []string {
	_, files := o.inGuest()
	for _, name := range []string{"/etc/passwd", "/etc/group", "/etc/services", "/etc/protocols"} {
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		}
	}
	if o.with != "" {
		for _, name := range strings.Split(o.with, ",") {
			if path, err := filepath.Abs(name); err == nil {
				files = append(files, path)
			}
		}
	}
	return files
}

// checkTests refuses test binaries that are none.
func (o *kernelOptions) checkTests() error {
	if o.testRun != "" && o.tests == "" {
		return errors.New("-run chooses tests of -tests: give -tests, too, such as rig.test (go test -c makes it)")
	}
	if _, err := regexp.Compile(o.testRun); err != nil {
		return fmt.Errorf("-run: %w: give a pattern as for go test -run", err)
	}
	names := map[string]bool{}
	for _, file := range o.testFiles() {
		info, err := os.Stat(file)
		if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
			err = fmt.Errorf("%s is no program", file)
		}
		if err != nil {
			return fmt.Errorf("-tests: %w: give test binaries, as go test -c makes them, separated by commas", err)
		}
		name := filepath.Base(file)
		if names[name] {
			return fmt.Errorf("-tests: two files are called %s: rename one of them", name)
		}
		names[name] = true
	}
	return nil
}

// testFiles are the test binaries.
func (o *kernelOptions) testFiles() (files []string) {
	for name := range strings.SplitSeq(o.tests, ",") {
		if path, err := filepath.Abs(name); err == nil && name != "" {
			files = append(files, path)
		}
	}
	return files
}

// jobArgs are the arguments of this binary that do a job on one kernel.
func (o *kernelOptions) jobArgs(job string) []string {
	args := []string{"kernels", "-on", kernels.Host, "-lines", "-jobs", job}
	if o.probes != "" && job == jobProbes {
		args = append(args, "-probes", o.probes)
	}
	if job != jobCard {
		return args
	}
	within := o.within
	if within == 0 {
		within = o.limit * 9 / 10
	}
	args = append(args, "-within", within.String())
	for _, name := range append(slices.Clone(aboutSubject), "checks", "family") {
		text, given := o.given(name)
		if file, is := strings.CutPrefix(text, "@"); name == "service" && is {
			if path, err := filepath.Abs(file); err == nil {
				text = "@" + path
			}
		}
		if given {
			args = append(args, "-"+name+"="+text)
		}
	}
	if command, _ := o.inGuest(); len(command) > 0 {
		args = append(append(args, "--"), command...)
	}
	return args
}

// repeat returns the command that asks again.
func (o *kernelOptions) repeat(args ...string) string {
	words := append([]string{o.program, "kernels"}, args...)
	for _, name := range append(slices.Clone(aboutSubject), "with") {
		if text, given := o.given(name); given {
			words = append(words, "-"+name+"="+text)
		}
	}
	if o.foreign() {
		words = append(append(words, "--"), o.judged.Command...)
	}
	return rig.Command{Args: words}.String()
}

// sayLines does the jobs on the kernel on which it runs, and says what it finds. It does not fail tb.
func (o *kernelOptions) sayLines(tb rig.TB, out *output) (status int) {
	ctx, stop := o.bounded(tb.Context())
	defer stop()
	say := func(l kernels.Line) { _ = l.Say(out) } // out knows an error
	for _, job := range strings.Split(o.jobs, ",") {
		switch job {
		case jobProbes:
			asked, _ := o.asked() // checkJobs has seen an error
			probes.Run(ctx, probes.Options{Probes: asked,
				Asked:    func(p probes.Probe) { say(kernels.Line{Asked: p.ID}) },
				Answered: func(a probes.Answer) { say(kernels.Line{Answer: &a}) }})
		case jobBinds:
			if _, err := probes.BindTable(ctx, func(r probes.BindRow) { say(kernels.Line{Bind: &r}) }); err != nil {
				complain(err)
				status = max(status, statusUnable)
			}
		case jobCard:
			status = max(status, o.sayCard(ctx, tb, say))
		}
	}
	return status
}

// sayCard judges the subject.
func (o *kernelOptions) sayCard(ctx context.Context, tb rig.TB, say func(kernels.Line)) int {
	// On an emulated processor a check computes more than it waits.
	slow := float64(rig.Scaled(time.Second)) / float64(time.Second)
	parallel := max(2, int(12*float64(runtime.GOMAXPROCS(0))/slow))
	trial := judge.Trial{Subject: o.judged, Checks: o.selected, Families: o.families, Parallel: parallel}
	trial.Tell = func(e judge.Event) {
		if e.Result != nil {
			say(kernels.Line{Result: e.Result})
		}
	}
	card := scorecard.Card{Subject: o.judged.String(), Kernel: rig.Kernel()}
	var err error
	outcome := rig.Sub(ctx, tb, func(tb rig.TB) { card.Checks, card.Causes, err = trial.Run(tb) })
	if outcome.Failed && err == nil {
		err = errors.New(outcome.Log)
	}
	if err != nil {
		complain(err)
		return statusUnable
	}
	card.Complete, card.EndedBy = ctx.Err() == nil, endedBy(ctx)
	say(kernels.Line{Card: &card})
	return statusOf(card.OK())
}

// fetchKernels fetches the kernels that are named, or the default ones, and QEMU where it is needed
// and not installed.
func fetchKernels(names []string) (int, error) {
	if len(names) == 0 {
		names = kernels.Defaults
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == kernels.Host || strings.Contains(name, "/") })
	ctx, stop := (&Options{}).bounded(context.Background())
	defer stop()
	a, err := archive.System(ctx)
	if err != nil {
		return statusUnable, err
	}
	a.Log = func(line string) { fmt.Fprintln(os.Stderr, scorecard.Printable(line)) }
	index, err := a.Index(ctx)
	if index == nil {
		return statusUnable, err
	}
	if err != nil { // some suites are there
		complain(err)
	}
	for _, suite := range index.Suites {
		if suite.Unverified != "" {
			fmt.Fprintf(os.Stderr, "%s: unverified: %s\n", suite.Name, scorecard.Printable(suite.Unverified))
		}
	}
	_, qemuErr := boot.InstalledQEMU()
	boots := func(name string) bool {
		return !strings.HasPrefix(name, archive.UserModePrefix) && name != archive.QEMUName
	}
	if errors.Is(qemuErr, exec.ErrNotFound) && slices.ContainsFunc(names, boots) && !slices.Contains(names, archive.QEMUName) {
		names = append(names, archive.QEMUName)
	}
	for _, name := range names {
		set, err := index.Find(name)
		if name == archive.QEMUName {
			set, err = index.QEMU()
		}
		if err != nil {
			return statusUsage, err
		}
		if err := a.Fetch(ctx, set); err != nil {
			return statusUnable, err
		}
		fmt.Fprintf(os.Stderr, "%s is here\n", set.Name)
	}
	return statusRight, nil
}

// listKernels says what was fetched.
func listKernels(out *output) (int, error) {
	a, err := archive.System(context.Background())
	if err != nil {
		return statusUnable, err
	}
	all, err := a.Kernels()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return statusUnable, err
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "no kernel is here: forkrig kernels fetch")
		return statusRight, nil
	}
	for _, k := range all {
		fmt.Fprintf(out, "%-16s %s\n", k.Name, strings.Join(kernels.KnownBugs(k.Name), "; "))
	}
	return statusRight, nil
}
