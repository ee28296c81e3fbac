// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// suite is one run of a test binary.
type suite struct {
	binary string
	dir    string // where it runs: that of its package
	args   []string
	mode   Mode
	limit  time.Duration // how long it may take
	kept   string        // the directory for its output
}

// ending is how a suite ended beside what its tests say.
type ending struct {
	tests []*test
	open  []string // the tests that did not end
	err   error    // it did not come to an end of its own, or ended badly although no test failed
}

const (
	// afterLimit is how long a suite that should have ended at its limit by itself
	// (-test.timeout) may go on until it is asked for its goroutines by SIGQUIT.
	afterLimit = time.Minute
	// afterQuit is how long it has to print them.
	afterQuit = 30 * time.Second
)

// run runs the suite. The error means that it could not be started, or that ctx
// has ended.
func (s suite) run(ctx context.Context, start *starter) (ending, error) {
	if err := os.MkdirAll(s.kept, 0o755); err != nil {
		return ending{}, err
	}
	stdout, err := os.Create(filepath.Join(s.kept, "stdout.txt"))
	if err != nil {
		return ending{}, err
	}
	defer stdout.Close()
	stderr, err := os.Create(filepath.Join(s.kept, "stderr.txt"))
	if err != nil {
		return ending{}, err
	}
	defer stderr.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return ending{}, err
	}
	defer r.Close()
	cmd := exec.Command(s.binary, append([]string{"-test.v=test2json", "-test.timeout=" + s.limit.String()}, s.args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, w, stderr
	cmd.Env = append(os.Environ(), s.mode.environment()...)
	var on []int
	if s.mode.OneCore {
		on = start.processors[:1]
	}
	err = start.start(cmd, on)
	w.Close()
	if err != nil {
		return ending{}, fmt.Errorf("start %s: %w", s.binary, err)
	}
	read := make(chan error, 1)
	var tests stream
	go func() { read <- tests.read(&tee{r, stdout}) }()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	err = awaitEnd(ctx, cmd, ended, s.limit)
	// A process that holds the pipe is about to end with the sandbox.
	stuck := time.AfterFunc(afterQuit, func() { r.Close() })
	readErr := <-read
	stuck.Stop()
	if ctx.Err() != nil {
		return ending{}, ctx.Err()
	}
	result := ending{tests: tests.runs()}
	for _, t := range tests.tests {
		if t.verdict == unfinished && !t.parent {
			result.open = append(result.open, t.name)
		}
	}
	anyFailed := slices.ContainsFunc(result.tests, func(t *test) bool { return t.verdict == failed })
	switch {
	case readErr != nil:
		result.err = readErr
	case err != nil && (!anyFailed || cmd.ProcessState.ExitCode() != 1):
		result.err = err
	}
	return result, nil
}

// awaitEnd waits for the process, and ends it where it takes too long.
func awaitEnd(ctx context.Context, cmd *exec.Cmd, ended <-chan error, limit time.Duration) error {
	timer := time.NewTimer(limit + afterLimit)
	defer timer.Stop()
	for quit := false; ; quit = true {
		select {
		case err := <-ended:
			if quit {
				return fmt.Errorf("it hung: it went on for %v after its limit of %v", afterLimit, limit)
			}
			return err
		case <-ctx.Done():
			endGroup(cmd.Process.Pid)
			<-ended
			return ctx.Err()
		case <-timer.C:
		}
		if quit {
			endGroup(cmd.Process.Pid)
			<-ended
			return fmt.Errorf("it hung: it was killed %v after SIGQUIT, which came %v after its limit of %v", afterQuit, afterLimit, limit)
		}
		_ = cmd.Process.Signal(syscall.SIGQUIT) // or it has just ended
		timer.Reset(afterQuit)
	}
}

// tee copies what is read to a file. That the file is full, say, must not hold
// up the suite.
type tee struct{ from, to *os.File }

func (t *tee) Read(b []byte) (int, error) {
	n, err := t.from.Read(b)
	_, _ = t.to.Write(b[:n])
	return n, err
}

// keep writes the output of a failed test to a file of its own, and returns its name.
func (s suite) keep(t *test) string {
	name := filepath.Join(s.kept, fileName(t.name)+".txt")
	if err := os.WriteFile(name, t.output.Bytes(), 0o644); err != nil {
		return fmt.Sprintf("%s (%v)", s.kept, err)
	}
	return name
}

// fileName makes a file's name of a test's.
func fileName(test string) string {
	const longest = 200
	name := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, test)
	return name[:min(len(name), longest)]
}
