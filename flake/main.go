// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// hogArg0 is argv[0] of a process that computes without end.
const hogArg0 = "forkrig:hog"

func main() {
	if os.Args[0] == hogArg0 {
		hog()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	status, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "flake: %v\n", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

func hog() {
	for n := 0; ; {
		n++
	}
}

// hunt is everything that one call of the program does.
type hunt struct {
	runs  int
	limit time.Duration
	args  []string // for the test binary
	dir   string   // for the output of failures

	start    *starter
	binaries map[bool]string // by whether the race detector is in it
	place    string          // the directory of the package under test
	out      io.Writer
	report   *report
}

// run is main with its surroundings named. The status is 1 where anything failed.
func run(ctx context.Context, args []string, out io.Writer) (status int, err error) {
	h := &hunt{out: out, report: newReport(), binaries: map[bool]string{}}
	flags := flag.NewFlagSet("flake", flag.ContinueOnError)
	flags.IntVar(&h.runs, "runs", 1000, "scenario runs to reach, in all modes together; where -run leaves the defects alone, runs of these")
	flags.DurationVar(&h.limit, "limit", 30*time.Minute, "how long one suite may take")
	flags.StringVar(&h.dir, "dir", "", "keep the output of failures in this `directory` (default: a new one below TMPDIR)")
	names := flags.String("modes", "", "these `modes` only, separated by commas; without it all of them:"+meanings())
	pkg := flags.String("package", "./scenarios", "the `package` whose tests run")
	pattern := flags.String("run", "", "these tests only, as -run of go test")
	skip := flags.String("skip", "", "not these tests, as -skip of go test")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0, nil
		}
		return 2, nil // it has been printed
	}
	if flags.NArg() > 0 || h.runs < 1 || h.limit <= 0 {
		return 2, fmt.Errorf("%q: give -runs from 1 up, a -limit above 0, and nothing beside flags", args)
	}
	modes, err := choose(*names)
	if err != nil {
		return 2, err
	}
	if *pattern != "" {
		h.args = append(h.args, "-test.run="+*pattern)
	}
	if *skip != "" {
		h.args = append(h.args, "-test.skip="+*skip)
	}
	if h.start, err = newStarter(); err != nil {
		return 1, err
	}
	remove, err := h.prepare(ctx, *pkg, modes)
	defer remove()
	if err != nil {
		return 1, err
	}
	for _, mode := range modes {
		if err = h.hunt(ctx, mode, (h.runs+len(modes)-1)/len(modes)); err != nil {
			break
		}
	}
	fmt.Fprintln(out)
	if err := h.report.print(out); err != nil {
		return 1, err
	}
	if err != nil {
		return 1, fmt.Errorf("it is not finished: %w", err)
	}
	if len(h.report.failures) > 0 {
		return 1, nil
	}
	return 0, nil
}

func meanings() string {
	var b strings.Builder
	for _, mode := range Modes {
		fmt.Fprintf(&b, "\n%s: %s", mode.Name, mode.Meaning)
	}
	return b.String()
}

// prepare builds the test binaries that the modes need. remove is to be called in
// any case; it leaves the directory for failures where there are any.
func (h *hunt) prepare(ctx context.Context, pkg string, modes []Mode) (remove func(), err error) {
	built, err := os.MkdirTemp("", "forkrig-flake-binaries-")
	if err != nil {
		return func() {}, err
	}
	made := h.dir == ""
	remove = func() {
		os.RemoveAll(built)
		if made && h.dir != "" && len(h.report.failures) == 0 {
			os.RemoveAll(h.dir)
		}
	}
	if made {
		h.dir, err = os.MkdirTemp("", "forkrig-flake-")
	} else if h.dir, err = filepath.Abs(h.dir); err == nil {
		err = os.MkdirAll(h.dir, 0o755)
	}
	if err != nil {
		return remove, err
	}
	place, err := h.tool(ctx, nil, "list", "-f", "{{.Dir}}", pkg)
	if err != nil {
		return remove, err
	}
	h.place = strings.TrimSpace(place)
	for _, mode := range modes {
		if h.binaries[mode.Race] != "" {
			continue
		}
		args, cgo, name := []string{"test", "-c"}, "CGO_ENABLED=0", "plain.test"
		if mode.Race {
			args, cgo, name = append(args, "-race"), "CGO_ENABLED=1", "race.test"
		}
		binary := filepath.Join(built, name)
		if _, err := h.tool(ctx, []string{cgo}, append(args, "-o", binary, pkg)...); err != nil {
			return remove, err
		}
		h.binaries[mode.Race] = binary
	}
	return remove, nil
}

// tool runs the go command and returns what it prints.
func (h *hunt) tool(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := h.start.start(cmd, nil)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { endGroup(cmd.Process.Pid) })
		err = cmd.Wait()
		stop()
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// hunt runs suites in one mode until there are enough runs. The error means that
// it cannot go on.
func (h *hunt) hunt(ctx context.Context, mode Mode, enough int) error {
	t := &tally{mode: mode}
	h.report.tallies = append(h.report.tallies, t)
	began := time.Now()
	defer func() { t.took = time.Since(began) }()
	stopHogs, err := h.startHogs(mode)
	defer stopHogs()
	if err != nil {
		return err
	}
	type outcome struct {
		suite suite
		ending
		err error
	}
	outcomes := make(chan outcome)
	under, begun := 0, 0 // way
	launch := func() {
		under, begun = under+1, begun+1
		s := suite{binary: h.binaries[mode.Race], dir: h.place, args: h.args, mode: mode, limit: h.limit,
			kept: filepath.Join(h.dir, fmt.Sprintf("%s-%d", mode.Name, begun))}
		go func() {
			result, err := s.run(ctx, h.start)
			outcomes <- outcome{s, result, err}
		}()
	}
	for range mode.Together {
		launch()
	}
	var stop error
	for under > 0 {
		o := <-outcomes
		under--
		if o.err != nil {
			stop = errors.Join(stop, o.err)
			os.RemoveAll(o.suite.kept)
			continue
		}
		h.count(t, o.suite, o.ending)
		fmt.Fprintf(h.out, "%s: %d suites, %d of %d runs failed, %d of %d defects missed, %v\n",
			mode.Name, t.suites, t.failures, t.runs, t.missed, t.defects, time.Since(began).Round(time.Second))
		each := max(t.countedRuns()/t.suites, 1) // of those under way, too
		switch {
		case stop != nil:
		case t.countedRuns() == 0:
			stop = fmt.Errorf("%s: a suite has no run that passed or failed: is the pattern right?", mode.Name)
		case t.countedRuns()+under*each < enough:
			launch()
		}
	}
	return stop
}

// count adds a suite to the report, and keeps its output where it failed.
func (h *hunt) count(t *tally, s suite, e ending) {
	before := t.failures + t.missed
	h.report.add(t, e.tests, s.keep)
	if e.err != nil {
		t.failures++
		name := fmt.Sprintf("the suite: %v", e.err)
		h.report.fail(name, s.mode, s.kept)
		for _, test := range e.open {
			h.report.fail("did not end with its suite: "+test, s.mode, s.kept)
		}
	}
	if t.failures+t.missed == before {
		os.RemoveAll(s.kept)
	}
}

// startHogs keeps the processors busy until stop is called.
func (h *hunt) startHogs(mode Mode) (stop func(), err error) {
	var hogs []*exec.Cmd
	stop = func() {
		for _, cmd := range hogs {
			endGroup(cmd.Process.Pid)
			_ = cmd.Wait() // it was killed
		}
	}
	for _, processor := range h.start.processors {
		for range mode.Hogs {
			cmd := exec.Command("/proc/self/exe")
			cmd.Args[0] = hogArg0
			if err := h.start.start(cmd, []int{processor}); err != nil {
				return stop, fmt.Errorf("keep processor %d busy: %w", processor, err)
			}
			hogs = append(hogs, cmd)
		}
	}
	return stop, nil
}
