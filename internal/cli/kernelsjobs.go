// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"forkrig/judge"
	"forkrig/kernels"
	"forkrig/kernels/probes"
	"forkrig/rig"
	"forkrig/scorecard"
)

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
			err = fmt.Errorf("%s is not a program", file)
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

// scriptShell is the interpreter that scripts name.
const scriptShell = "/bin/sh"

// testPrograms are those of this machine that tests often start.
func testPrograms() (paths []string) {
	for _, name := range []string{"sh", "cat", "env", "grep", "ls", "readlink", "sleep", "sort", "tr", "true"} {
		if path, err := exec.LookPath(name); err == nil {
			paths = append(paths, path)
		}
	}
	if _, err := os.Stat(scriptShell); err == nil {
		paths = append(paths, scriptShell)
	}
	return paths
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
	ctx, stop := o.bounded(tb.Context(), out)
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
	trial := judge.Trial{Subject: o.judged, Checks: o.selected, Families: o.families}
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
