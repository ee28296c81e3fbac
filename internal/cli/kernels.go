// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

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
	f.StringVar(&o.on, "on", strings.Join(kernels.Defaults, ","), "the `KERNELS`, such as 5.10,6.12.43,uml:7.2; host is the kernel of this machine, "+
		"all means every kernel in the cache and host; or the path of a bzImage or linux.uml, with :MODULES")
	f.StringVar(&o.kernel, "kernel", "", "one more kernel: `FILE[:MODULES]`")
	f.StringVar(&o.jobs, "jobs", "", "what each kernel does: `probes,binds,card`; if not given: all three, or card alone with a command")
	f.StringVar(&o.probes, "probes", "", "ask only these `PROBES`, such as K15,K17")
	f.StringVar(&o.with, "with", "", "more `FILES` and directories that the command needs, separated by commas")
	f.StringVar(&o.tests, "tests", "", "run these `FILES`, test binaries of Go, on each kernel, separated by commas; a shell and what tests often start are there")
	f.StringVar(&o.testRun, "run", "", "run only the tests of -tests that match this `PATTERN`, as -test.run")
	f.StringVar(&o.table, "json", "", "write the table as JSON to this `FILE`, and as Markdown beside it (.md)")
	f.DurationVar(&o.limit, "limit", 5*time.Minute, "end each job of a kernel after this `TIME`")
	f.IntVar(&o.guests, "guests", 0, "boot `N` kernels at a time; 0 means one for each processor")
	f.BoolVar(&o.lines, "lines", false, "print each answer of this machine's kernel as a line of JSON, as soon as it is known (with -on host)")
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
			"nothing is installed, and no privilege is needed. Each kernel answers the probes and the bind table,\n" +
			"and judges the built-in server; with a command it only judges that server. Only rows in which kernels\n" +
			"differ are printed. Exit status: 0, 1 a check failed or is broken, 2 the command line is wrong, 3 a kernel\n" +
			"is not in the cache, did not boot or died.",
		Flags: flagsOf(&o.Options, o.subjectFlags, o.flags, o.eventsFlag, func(f *flag.FlagSet) {
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
	if err := checkCommand(command); err != nil {
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
	ctx, events, out, err := o.openEvents(context.Background(), out)
	if err != nil {
		return statusUsage, err
	}
	told := newOutput(os.Stderr)
	ctx, stop := (&Options{}).bounded(ctx, told)
	defer stop()
	plan := kernels.Plan{Kernels: names, Parallel: o.guests, Files: o.files()}
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
		for _, name := range []string{rig.RequireEnv, rig.TimeScaleEnv} { // what is required here is required there
			if value, set := os.LookupEnv(name); set {
				job.Env = append(job.Env, name+"="+value)
			}
		}
		plan.Jobs = append(plan.Jobs, job)
		plan.Files = append(plan.Files, file)
	}
	if o.tests != "" {
		plan.Files = append(plan.Files, testPrograms()...)
	}
	subject := ""
	if o.foreign() {
		subject = o.judged.String()
	}
	events.tell(scorecard.Event{Type: scorecard.RunBegins, Run: &scorecard.RunBegin{Command: "kernels", Subject: subject}})
	columns := watched(ctx, plan, told, events, func(known []kernels.Column) {
		if info, err := os.Stat(o.table); err == nil && info.Mode().IsRegular() { // another kind of file is written once
			_ = writeTable(o.table, kernels.NewTable(subject, known), o.repeat) // at the end it is written again
		}
	})
	status, err = o.writeColumns(subject, columns, out)
	end := scorecard.RunEnd{Status: out.status(status), Complete: ctx.Err() == nil, EndedBy: endedBy(ctx)}
	if err != nil {
		end.Error = scorecard.Printable(err.Error())
	}
	return events.end(end), err
}

// watched runs the plan, and tells out what happens, and as events. It hands over what is known after each job.
func watched(ctx context.Context, plan kernels.Plan, out *output, events *eventLog, keep func([]kernels.Column)) []kernels.Column {
	progress := newProgress(out, time.Now())
	defer progress.end()
	done, of := 0, len(plan.Kernels)*len(plan.Jobs)
	progress.Set(done, of, "jobs")
	plan.Tell = func(kernel, what string) {
		progress.say(scorecard.Printable(fmt.Sprintf("%s: %s\n", kernel, what)))
		events.tell(scorecard.Event{Type: scorecard.KernelGoesOn,
			Kernel: &scorecard.KernelState{Name: kernel, What: what, Done: done, Of: of}})
	}
	plan.Done = func(jobs, of int, known []kernels.Column) {
		done = jobs
		progress.Set(done, of, "jobs")
		keep(known)
	}
	return plan.Run(ctx)
}

// writeColumns writes the table that was asked for, and prints it.
func (o *kernelOptions) writeColumns(subject string, columns []kernels.Column, out *output) (status int, err error) {
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
	switch {
	case o.lines && o.on != kernels.Host:
		return errors.New("-lines is for this machine's kernel: give -on host, too")
	case o.lines && o.events != "":
		return errors.New("-lines and -events exclude each other: give one of them")
	case sameFile(o.table, o.events):
		return fmt.Errorf("-json and -events are both %s: give two names", o.events)
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
