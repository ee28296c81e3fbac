// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Driver starts guests: [QEMU] or [UserMode].
type Driver interface {
	// command returns what starts the guest. It may put files into dir, which is removed when
	// the guest has ended. The guest's records come out of its descriptor 3, its console out
	// of its standard output.
	command(ctx context.Context, dir string, k Kernel, g Guest) (*exec.Cmd, plan, error)
}

// plan is what the guest's first process is told, as JSON.
type plan struct {
	Line     string   // the device that records are written to
	Modules  []string // files to load, in this order
	Overlay  bool     // the root is another machine's: nothing is written to it
	PowerOff bool     // rather than a restart, which ends a guest of QEMU
	Jobs     []Job
	Output   int64    // Guest.OutputLimit
	Absent   []string // Report.Absent
}

// ready is what the guest says when it is up.
type ready struct {
	Release    string
	Complaints []string
}

// initRole is argv[1] of a guest's first process; argv[2] is the path of its plan.
const initRole = "forkrig:guest"

// initArgs are the last parameters of a kernel: it hands them to the first process. User-mode
// Linux adds more, such as console=tty0.
func initArgs(plan string) []string { return []string{"--", initRole, plan} }

// The time that the guest and the line take beside the jobs themselves.
const (
	quitGrace  = 5 * time.Second  // between SIGQUIT and SIGKILL at a job's time limit
	drainLimit = 10 * time.Second // until a job that has ended has no processes and no output left
	lineLimit  = 60 * time.Second // until the next record after a job, on a busy machine
	endLimit   = 20 * time.Second // until the guest is gone after its last record
)

// tailSize is how much of a job's output is taken after [Guest.OutputLimit].
const tailSize = 64 << 10

// Run boots a kernel and runs the guest's jobs. A job that fails is no error; a guest that does
// not come up, hangs or dies is a [DiedError], beside a report of what is known. When Run
// returns, all processes of the guest are gone and its files are removed.
//
// Requires Linux; it is safe for concurrent use.
func Run(ctx context.Context, d Driver, k Kernel, g Guest, w Watch) (Report, error) {
	g, err := g.withDefaults()
	if err != nil {
		return Report{}, fmt.Errorf("boot %s: %w", k.Name, err)
	}
	dir, err := os.MkdirTemp("", "forkrig-guest-")
	if err != nil {
		return Report{}, fmt.Errorf("boot %s: %w", k.Name, err)
	}
	report, err := run(ctx, d, dir, k, g, w)
	return report, errors.Join(err, os.RemoveAll(dir))
}

func run(ctx context.Context, d Driver, dir string, k Kernel, g Guest, w Watch) (Report, error) {
	cmd, p, err := d.command(ctx, dir, k, g)
	if err != nil {
		return Report{}, fmt.Errorf("boot %s: %w", k.Name, err)
	}
	defer closeAll(cmd.ExtraFiles)
	records, recordsWrite, err := os.Pipe()
	if err != nil {
		return Report{}, err
	}
	defer records.Close()
	screen, screenWrite, err := os.Pipe()
	if err != nil {
		recordsWrite.Close()
		return Report{}, err
	}
	defer screen.Close()

	cmd.ExtraFiles[0] = recordsWrite
	cmd.Stdout, cmd.Stderr = screenWrite, screenWrite
	begin := time.Now()
	process, err := start(cmd)
	recordsWrite.Close() // the guest has it; its end is seen when the guest is gone
	screenWrite.Close()
	cmd.ExtraFiles[0] = nil
	if err != nil {
		return Report{}, fmt.Errorf("boot %s: %w", k.Name, err)
	}
	var lines console
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		io.Copy(&lines, screen) // its error is the end, too
	}()
	s := session{kernel: k, guest: g, watch: w, begin: begin, report: Report{Absent: p.Absent}, job: -1}
	why := s.follow(ctx, process, records)
	<-seen
	s.report.Wall = time.Since(begin)
	s.report.Console = lines.last()
	switch {
	case ctx.Err() != nil:
		return s.report, fmt.Errorf("kernel %s: %w", k.Name, context.Cause(ctx))
	case why != "":
		if lines.panic != "" {
			why += ": " + lines.panic
		}
		return s.report, &DiedError{Kernel: k.Name, Job: s.jobName(), Why: why, Console: s.report.Console}
	}
	return s.report, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// session follows the records of one guest.
type session struct {
	kernel Kernel
	guest  Guest
	watch  Watch
	begin  time.Time
	report Report
	job    int  // the one that runs, or -1
	up     bool // the guest is ready
	ended  bool // the last record has come
	output []byte
}

func (s *session) jobName() string {
	if s.job < 0 {
		return ""
	}
	return s.guest.Jobs[s.job].Name
}

// follow reads the records until the guest has ended, and ends it where it does not keep a limit.
// It returns what went wrong, or "".
func (s *session) follow(ctx context.Context, p *process, r io.Reader) (why string) {
	frames, damage := make(chan frame), make(chan error, 1)
	go func() {
		defer close(frames)
		in := bufio.NewReader(r)
		for {
			f, err := readFrame(in)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					damage <- err
				}
				io.Copy(io.Discard, r) // until the guest has ended
				return
			}
			frames <- f
		}
	}()
	limit, waitsFor := s.limit()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	cancelled, damaged := ctx.Done(), (<-chan error)(damage)
	stop := func(reason string) {
		if why == "" {
			why = reason
		}
		p.kill()
	}
	for open := true; open; {
		select {
		case f, more := <-frames:
			if open = more; !open || why != "" {
				continue
			}
			if reason := s.take(f); reason != "" {
				stop(reason)
				continue
			}
			if f.Kind != frameOutput { // output does not put off the end of a job
				limit, waitsFor = s.limit()
				timer.Reset(limit)
			}
		case <-timer.C:
			stop(waitsFor)
		case err := <-damaged:
			damaged = nil
			stop(err.Error())
		case <-cancelled:
			cancelled = nil
			stop(context.Cause(ctx).Error())
		}
	}
	p.kill() // what is left where the line has ended and the guest has not
	status := p.wait()
	switch {
	case why == "" && !s.ended:
		return "it ended: " + status
	case s.ended && why == "" && status != "exit status 0":
		return "it did not end well: " + status
	}
	return why
}

// limit returns how long the next record but output may take, and what to say where it does not
// come.
func (s *session) limit() (time.Duration, string) {
	switch {
	case !s.up:
		return s.guest.BootLimit, fmt.Sprintf("it was not up after %v", s.guest.BootLimit)
	case s.ended:
		return endLimit, fmt.Sprintf("it was still there %v after its last job", endLimit)
	case s.job >= 0:
		own := s.guest.Jobs[s.job].Limit
		return own + quitGrace + 2*drainLimit + lineLimit, fmt.Sprintf("it did not end the job, whose time limit is %v", own)
	}
	return lineLimit, fmt.Sprintf("it began no job for %v", lineLimit)
}

// take handles one record. It returns why the guest is to be ended, or "".
func (s *session) take(f frame) string {
	const confused = "its records make no sense: "
	switch f.Kind {
	case frameReady:
		var r ready
		if err := json.Unmarshal(f.Data, &r); err != nil || s.up {
			return confused + "it has booted twice"
		}
		s.up = true
		s.report.Release, s.report.Complaints, s.report.Boot = r.Release, r.Complaints, time.Since(s.begin)
		call(s.watch.Ready, r.Release)
	case frameStart:
		if s.job >= 0 || len(s.report.Results) >= len(s.guest.Jobs) {
			return confused + "a job begins where none can"
		}
		s.job, s.output = len(s.report.Results), nil
		call(s.watch.Start, s.jobName())
	case frameOutput:
		if s.job < 0 {
			return confused + "output without a job"
		}
		if int64(len(s.output)+len(f.Data)) > s.guest.OutputLimit+tailSize {
			return fmt.Sprintf("it sent more than the %d bytes that its job may print", s.guest.OutputLimit+tailSize)
		}
		s.output = append(s.output, f.Data...)
		if s.watch.Output != nil {
			s.watch.Output(s.jobName(), f.Data)
		}
	case frameResult:
		var r Result
		if err := json.Unmarshal(f.Data, &r); err != nil || s.job < 0 {
			return confused + "a result without a job"
		}
		r.Name, r.Output = s.jobName(), s.output
		s.report.Results, s.job = append(s.report.Results, r), -1
		call(s.watch.Done, r)
	case frameEnd:
		if s.ended = len(s.report.Results) == len(s.guest.Jobs); !s.ended {
			return confused + "it ends before its jobs are done"
		}
	default:
		return fmt.Sprintf("%sa record of kind %q", confused, f.Kind)
	}
	return ""
}

func call[T any](f func(T), value T) {
	if f != nil {
		f(value)
	}
}
