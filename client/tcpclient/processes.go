package tcpclient

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"
)

// A process is one of the several processes of a load, as its parent sees it.
type process struct {
	part    part
	cmd     *exec.Cmd
	control io.WriteCloser // a byte is a release, the end is the parent's end
	output  io.ReadCloser

	ended     bool
	reported  bool
	announced map[string]Gathered // by event
	done      atomic.Int64
	failed    atomic.Int64
}

// A notice is what happened to a process: it wrote a line or, if line is nil, it ended.
type notice struct {
	process *process
	line    *processLine
	err     error // of the process's end
}

// A processLine is any line that a process tells its parent.
type processLine struct {
	Event       string
	Connections int
	Failed      int
	Done        int
	Error       string
	Tally       *tally
}

// A crowd is a load of several processes.
type crowd struct {
	cfg       config
	events    *lineWriter
	processes []*process
	running   int
	notices   chan notice
	tally     tally
	err       error // the first process that ended badly after its tally
}

// runProcesses runs the load in several processes of this program, and sums up.
func runProcesses(name string, args []string, cfg config, std streams) error {
	// The kernel ties a process to the thread that started it, not to the whole parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	releases, stop := awaitReleases(cfg, std.in)
	defer stop()
	c := &crowd{cfg: cfg, events: &lineWriter{out: std.out}, notices: make(chan notice)}
	started := time.Now()
	for i := range cfg.processes {
		c.start(name, args, share(cfg.connections, cfg.processes, i), std)
	}
	stopProgress := showProgress(std, cfg.connections, c.progress)
	err := c.attend(releases)
	stopProgress()
	if err != nil {
		return err
	}
	if err := conclude(cfg, &c.tally, time.Since(started), c.events, std); err != nil {
		return err
	}
	return c.err
}

// start starts one process. If that cannot be, its connections are counted as failed.
func (c *crowd) start(name string, args []string, part part, std streams) {
	p := &process{part: part, announced: map[string]Gathered{}}
	c.processes = append(c.processes, p)
	if err := p.start(name, partArguments(part, c.cfg.seed, args), std); err != nil {
		p.ended = true
		c.tally.giveUp(part.connections, fmt.Errorf("start process %d: %w", part.process, err))
		return
	}
	c.running++
	go p.relay(c.notices)
}

func (p *process) start(name string, args []string, std streams) error {
	p.cmd = &exec.Cmd{Path: ownProgram, Args: append([]string{name}, args...), Stderr: std.err}
	if err := tieToParent(p.cmd); err != nil {
		return err
	}
	var err error
	if p.control, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if p.output, err = p.cmd.StdoutPipe(); err != nil {
		return err
	}
	return p.cmd.Start()
}

// relay hands on what the process tells, reaps it, and hands on how it ended.
func (p *process) relay(notices chan<- notice) {
	lines := json.NewDecoder(p.output)
	for {
		line := new(processLine)
		if lines.Decode(line) != nil {
			break
		}
		notices <- notice{process: p, line: line}
	}
	// Whatever is left after an unreadable line must not keep the process from ending.
	_, _ = io.Copy(io.Discard, p.output)
	notices <- notice{process: p, err: p.cmd.Wait()}
}

// attend follows the processes until all have ended and are reaped. An error of the
// announcement releases them by the end of their control pipes.
func (c *crowd) attend(releases <-chan struct{}) error {
	ahead := c.announcements()
	standing := len(ahead) == 0 // releases are wanted now
	var failed error
	for c.running > 0 {
		if !standing && failed == nil && c.complete(ahead[0]) {
			standing = true
			if failed = c.events.write(c.gathered(ahead[0])); failed != nil {
				c.abandon()
			}
		}
		wanted := releases
		if !standing {
			wanted = nil
		}
		select {
		case n := <-c.notices:
			c.take(n)
		case <-wanted:
			c.release()
			if len(ahead) > 0 {
				ahead = ahead[1:]
				standing = len(ahead) == 0
			}
		}
	}
	return failed
}

// announcements returns the events that are to be announced, in their order.
func (c *crowd) announcements() []string {
	var events []string
	if c.cfg.hold {
		events = append(events, "holding")
	}
	most := share(c.cfg.connections, c.cfg.processes, 0).connections
	if c.cfg.leave == leaveStall && c.cfg.parallel >= most {
		events = append(events, "stalling")
	}
	return events
}

// complete says whether every process has announced the event, or ended.
func (c *crowd) complete(event string) bool {
	for _, p := range c.processes {
		if _, announced := p.announced[event]; !announced && !p.ended {
			return false
		}
	}
	return true
}

// gathered sums up what the processes have announced.
func (c *crowd) gathered(event string) Gathered {
	sum := Gathered{Event: event, PIDs: []int{}}
	for _, p := range c.processes {
		g, announced := p.announced[event]
		if !announced || p.ended && !p.reported {
			sum.Failed += p.part.connections
			continue
		}
		sum.Connections += g.Connections
		sum.Failed += g.Failed
		if g.Connections > 0 {
			sum.PIDs = append(sum.PIDs, p.cmd.Process.Pid)
		}
	}
	return sum
}

func (c *crowd) release() {
	for _, p := range c.processes {
		if !p.ended {
			// One that cannot be written to has ended, and its notice is on the way.
			_, _ = p.control.Write([]byte{'\n'})
		}
	}
}

// abandon makes the processes end.
func (c *crowd) abandon() {
	for _, p := range c.processes {
		if !p.ended {
			_ = p.control.Close()
		}
	}
}

func (c *crowd) take(n notice) {
	p := n.process
	if n.line == nil {
		c.end(p, n.err)
		return
	}
	switch n.line.Event {
	case "holding", "stalling":
		p.announced[n.line.Event] = Gathered{Connections: n.line.Connections, Failed: n.line.Failed}
	case "lost":
		if c.cfg.json {
			// The report says it again; an output that cannot be written fails there.
			_ = c.events.write(Lost{Event: "lost", Error: n.line.Error})
		}
	case "progress":
		p.done.Store(int64(n.line.Done))
		p.failed.Store(int64(n.line.Failed))
	case "tally":
		if n.line.Tally != nil {
			p.reported = true
			c.tally.merge(n.line.Tally)
		}
	}
}

// progress sums up what the processes have told of their progress.
func (c *crowd) progress() (done, failed int) {
	for _, p := range c.processes {
		done += int(p.done.Load())
		failed += int(p.failed.Load())
	}
	return done, failed
}

// end records the end of a process that has been reaped.
func (c *crowd) end(p *process, err error) {
	c.running--
	p.ended = true
	how := p.cmd.ProcessState.String()
	switch {
	case !p.reported:
		c.tally.giveUp(p.part.connections, fmt.Errorf("process %d (pid %d) ended without a report: %s",
			p.part.process, p.cmd.Process.Pid, how))
	case err != nil && !(c.cfg.leave == leaveKill && wasKilled(p.cmd.ProcessState)) && c.err == nil:
		c.err = fmt.Errorf("process %d (pid %d) ended badly after its report: %s",
			p.part.process, p.cmd.Process.Pid, how)
	}
}
