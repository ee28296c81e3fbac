// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"forkrig/kernels/archive"
	"forkrig/kernels/boot"
)

// Host is the name of the kernel of this machine.
const Host = "host"

// Defaults are the kernels that are asked where none is named.
var Defaults = []string{"5.10", "6.1", "6.12", "6.18", "7.3", "uml:7.2", Host}

// Job is a command that each kernel runs: this binary with these arguments. It says lines.
type Job struct {
	Name  string
	Args  []string
	Limit time.Duration // 0 is [boot.DefaultLimit]
	Test  string        // the path of a test binary of Go, "" for this binary
	Env   []string      // of a guest, beside what every guest has, as "name=value"; this machine's job has all of it
}

// argv is the command line of the job.
func (j Job) argv() []string {
	if j.Test != "" {
		return append([]string{j.Test}, j.Args...)
	}
	return append([]string{boot.Self}, j.Args...)
}

// hearer returns what takes in the output of the job.
func (j Job) hearer(c *Column) *hearer {
	h := &hearer{said: c.enter}
	if j.Test != "" {
		h.tests = &TestRun{Name: j.Name}
	}
	return h
}

// Plan is which kernels do what.
type Plan struct {
	Kernels  []string // names as of [archive.Index.Find], paths as of [boot.Open], or [Host]
	Jobs     []Job
	Files    []string // what the jobs need of this machine's files
	Parallel int      // how many kernels run at a time; 0 means one
	// Tell is told what happens to a kernel, in words, from one goroutine at a time; nil is nothing.
	Tell func(kernel, what string)
	// Done is told how many jobs have ended, of all kernels together, and what is known now, as Tell is;
	// nil is nothing.
	Done func(jobs, of int, known []Column)
}

// Run puts the questions to all kernels and returns their columns, in the order of the plan. What
// goes wrong with one is in its column. When ctx ends, guests end soon, and leave nothing behind.
func (p Plan) Run(ctx context.Context) []Column {
	columns := make([]Column, len(p.Kernels))
	for i, name := range p.Kernels {
		columns[i] = Column{Kernel: name, Lost: "it has not begun"}
	}
	turns := make(chan struct{}, max(p.Parallel, 1))
	var mu sync.Mutex
	done := 0
	var wait sync.WaitGroup
	for i, name := range p.Kernels {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			tell := func(what string) {
				mu.Lock()
				defer mu.Unlock()
				if p.Tell != nil {
					p.Tell(name, what)
				}
			}
			left := len(p.Jobs)
			ended := func(jobs int, known Column) {
				mu.Lock()
				defer mu.Unlock()
				columns[i] = known
				left, done = left-jobs, done+jobs
				if p.Done != nil {
					p.Done(done, len(p.Kernels)*len(p.Jobs), slices.Clone(columns))
				}
			}
			c := Column{Kernel: name}
			began := time.Now()
			c.lose(p.ask(ctx, &c, tell, func() { ended(1, c.soFar(time.Since(began))) }))
			c.Wall = time.Since(began).Milliseconds()
			ended(left, c) // left are those that a lost kernel will not do
			tell(c.outcome())
		})
	}
	wait.Wait()
	return columns
}

// lose notes why no more is known of a kernel.
func (c *Column) lose(errs []error) {
	var why []string
	for _, err := range errs {
		if died := (*boot.DiedError)(nil); errors.As(err, &died) {
			c.Console = died.Console
			if err = errors.New(died.Why); died.Job != "" {
				err = fmt.Errorf("it died in %s: %w", died.Job, err)
			}
		}
		why = append(why, strings.ReplaceAll(err.Error(), "\n", ": "))
	}
	if len(why) > 0 && len(c.asked) > 0 {
		why = append(why, "asked and not answered: "+strings.Join(c.asked, ", "))
	}
	c.Lost = strings.Join(why, "; ")
}

// soFar is the column of a kernel that has more to do, which goes on to change this one.
func (c Column) soFar(after time.Duration) Column {
	if c.Card != nil {
		card := *c.Card
		c.Card = &card
	}
	c.Wall, c.Lost = after.Milliseconds(), "it has not ended"
	return c
}

// outcome says in words what came of a kernel.
func (c Column) outcome() string {
	took := (time.Duration(c.Wall) * time.Millisecond).Round(100 * time.Millisecond)
	if c.Lost != "" {
		return fmt.Sprintf("nothing more is known of %s: %s", c.Name(), c.Lost)
	}
	return fmt.Sprintf("done after %v", took)
}

// ask runs the jobs on one kernel and returns what went wrong. It calls jobEnded after each of them.
func (p Plan) ask(ctx context.Context, c *Column, tell func(string), jobEnded func()) (wrong []error) {
	if ctx.Err() != nil {
		return []error{context.Cause(ctx)}
	}
	if c.Kernel == Host {
		return p.askHost(ctx, c, tell, jobEnded)
	}
	kernel, driver, err := find(ctx, c.Kernel)
	if err != nil {
		return []error{err}
	}
	c.Found, c.Booted = kernel.Name, "QEMU"
	if _, is := driver.(boot.UserMode); is {
		c.Booted = "User-mode Linux"
	}
	guest := boot.Guest{Files: p.Files}
	for _, job := range p.Jobs {
		guest.Jobs = append(guest.Jobs, boot.Job{Name: job.Name, Argv: job.argv(), Limit: job.Limit, Env: job.Env})
	}
	var now *hearer
	var began time.Time // of the job that runs
	watch := boot.Watch{
		Ready: func(release string) {
			c.Release = release
			tell("is up: " + release)
		},
		Start: func(job string) {
			began = time.Now()
			now = p.Jobs[slices.IndexFunc(p.Jobs, func(j Job) bool { return j.Name == job })].hearer(c)
			tell(job)
		},
		Output: func(_ string, text []byte) { _, _ = now.Write(text) }, // it has no error
	}
	watch.Done = func(r boot.Result) {
		defer jobEnded()
		if why := c.jobEnds(now, r.Wall, r.Status, r.Err); why != "" {
			words := now.other
			if r.Err != "" { // they were printed because it was ended
				words = nil
			}
			wrong = append(wrong, jobError(r.Name, why, words))
		}
		if r.Dropped > 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("%s printed %d bytes more than were kept", r.Name, r.Dropped))
		}
	}
	report, err := boot.Run(ctx, driver, kernel, guest, watch)
	if now != nil && !now.over { // the tests that it has passed are known
		c.jobEnds(now, time.Since(began), 0, "it had not ended when the kernel did")
	}
	c.note(kernel, report)
	switch {
	case ctx.Err() != nil:
		wrong = append(wrong, context.Cause(ctx))
	case err != nil:
		wrong = append(wrong, err)
	}
	return wrong
}

// note takes in what is known of a guest beside its jobs.
func (c *Column) note(k boot.Kernel, report boot.Report) {
	c.Boot = report.Boot.Milliseconds()
	c.Absent = report.Absent
	c.Notes = append(c.Notes, report.Complaints...)
	if k.Modules == "" && len(report.Absent) > 0 {
		c.Notes = append(c.Notes, "it was booted without its modules: what is missing may be in one of them")
	}
}

// jobEnds takes in the end of a job and says what is wrong with it.
func (c *Column) jobEnds(h *hearer, after time.Duration, status int, err string) (why string) {
	h.end()
	h.over = true
	if h.tests == nil {
		return c.wrongEnd(status, err)
	}
	if err == "" && (status > 1 || status == 1 && len(h.tests.Failed) == 0) {
		err = fmt.Sprintf("exit status %d", status)
	}
	c.Tests = append(c.Tests, h.tests.end(after, err, append(h.log.failed, h.other...)))
	return err
}

// wrongEnd says what is wrong with the end of a job: it ends with 0, or with 1 where a check failed.
func (c *Column) wrongEnd(status int, err string) string {
	switch {
	case err != "":
		return err
	case status > 1:
		return fmt.Sprintf("exit status %d", status)
	case status == 1 && c.Right():
		return "exit status 1, and no check failed"
	}
	return ""
}

func jobError(name, why string, words []string) error {
	err := fmt.Errorf("%s: %s", name, why)
	if len(words) > 0 {
		err = fmt.Errorf("%w: %s", err, words[len(words)-1])
	}
	return err
}

// askHost runs the jobs on the kernel of this machine, where they make a sandbox of their own.
func (p Plan) askHost(ctx context.Context, c *Column, tell func(string), jobEnded func()) (wrong []error) {
	c.Booted = "this machine"
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		c.Release = strings.TrimSpace(string(text))
	}
	for _, job := range p.Jobs {
		tell(job.Name)
		limit := cmp.Or(job.Limit, boot.DefaultLimit)
		limited, cancel := context.WithTimeout(ctx, limit)
		began, argv := time.Now(), job.argv()
		hears, complains := job.hearer(c), &hearer{said: func(Line) {}}
		command := exec.CommandContext(limited, argv[0], argv[1:]...)
		command.Stdout, command.Stderr = hears, complains
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
		command.WaitDelay = 20 * time.Second
		err := command.Run()
		expired := limited.Err() != nil
		cancel()
		complains.end()
		if ctx.Err() != nil {
			c.jobEnds(hears, time.Since(began), 0, context.Cause(ctx).Error())
			return append(wrong, context.Cause(ctx))
		}
		why, words := "", complains.other
		exit := 0
		switch status := (*exec.ExitError)(nil); {
		case expired:
			why, words = "it was ended at its time limit of "+limit.String(), nil
		case errors.As(err, &status) && status.Exited():
			exit = status.ExitCode()
		case err != nil:
			why = err.Error()
		}
		why = c.jobEnds(hears, time.Since(began), exit, why)
		if why != "" {
			wrong = append(wrong, jobError(job.Name, why, words))
		}
		jobEnded()
	}
	return wrong
}

// find returns the kernel that a name means, and what boots it.
func find(ctx context.Context, name string) (k boot.Kernel, driver boot.Driver, err error) {
	a, err := archive.System(ctx)
	if err != nil {
		return k, nil, err
	}
	kind := boot.KindBzImage
	if strings.Contains(name, "/") {
		if k, kind, err = boot.Open(name); err != nil {
			return k, nil, err
		}
	} else {
		fetched, err := a.Kernel(name)
		if err != nil {
			return k, nil, err
		}
		k = boot.Kernel{Name: fetched.Name, Image: fetched.Image, Modules: fetched.Modules, Libraries: boot.Libraries(fetched.Libraries)}
		if strings.HasPrefix(fetched.Name, archive.UserModePrefix) {
			kind = boot.KindUserMode
		}
	}
	if kind == boot.KindUserMode {
		return k, boot.UserMode{}, nil
	}
	qemu, err := boot.InstalledQEMU()
	if errors.Is(err, exec.ErrNotFound) {
		var fetched archive.QEMU
		if fetched, err = a.QEMU(); errors.Is(err, fs.ErrNotExist) {
			return k, nil, errors.New("QEMU is not installed: install qemu-system-x86, or run forkrig kernels fetch qemu")
		}
		qemu = boot.QEMU{Program: fetched.Program, Libraries: boot.Libraries(fetched.Libraries), Data: fetched.Data}
	}
	return k, qemu, err
}
