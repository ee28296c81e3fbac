// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// Case is one check of one subject in one family: its lab, and its verdict.
type Case struct {
	rig.Family

	Check   Check
	Subject Subject
	Service dialogue.Service // that of the subject, with the side that closes first as it was given
	Lab     *rig.Lab
	Host    *rig.Host      // the subject's
	Clients []*rig.Host    // those of its clients
	Address netip.AddrPort // where the clients reach the subject

	tb     rig.TB
	run    *Run
	record Record          // begins to record the lab; nil where it is not recorded
	limit  context.Context // ends at the check's deadline or when the run is interrupted
	stall  *stallDetector
	// neverRests says that the subject did not come to rest in time. Only the check's own
	// goroutine uses it.
	neverRests bool
	// probing says that the subject did not answer one question in the settling time: it gets less
	// for the next ones. Only the preliminary trial's own goroutine uses it.
	probing bool
	brief   atomic.Bool // see Briefly
	// dir is the directory of the last start, which {dir} stands for; "" where there is none.
	dir string
	// undisturbed says that nothing is done to the subject: a reset with which it ends a
	// conversation is noted in resets, and taken for the end of the stream.
	undisturbed bool
	resets      atomic.Bool

	mu        sync.Mutex
	keep      Keep // what record returned
	result    scorecard.Result
	notes     []string
	findings  []string
	servers   []*Instance // every start of the subject, oldest first
	conns     []*Conn
	history   history
	dismissed bool // by DismissClients: no client waits any more
}

// build makes the lab.
func (c *Case) build(tb rig.TB) {
	c.tb = tb
	var err error
	c.Service, err = c.Subject.spoken()
	c.Must(err)
	c.Lab = rig.New(tb)
	if ours := rig.Program("").Args[0]; !strings.HasPrefix(c.Subject.Command[0], ours) {
		c.Lab.ExpectCrash() // the check judges the crash of a foreign subject
	}
	if c.run != nil && c.run.journal != nil {
		c.Lab.Journal.Follow(c.run.journal)
	}
	c.Host, c.Clients = c.Lab.NewStar("server", "client", max(c.Check.Clients, 1))
	if c.record != nil {
		keep := c.record(c.Lab)
		c.mu.Lock()
		c.keep = keep
		c.mu.Unlock()
	}
	c.Address = netip.AddrPortFrom(c.Host.MustAddr(c.Family), c.Subject.ListenPort())
	c.stall = &stallDetector{rest: c.Host.WatchRest()}
	tb.Cleanup(c.clear)
}

// recording ends the recording of the lab, where there is one, and returns its name.
func (c *Case) recording(label string, result scorecard.Result) string {
	c.mu.Lock()
	keep := c.keep
	c.mu.Unlock()
	if keep == nil {
		return ""
	}
	return keep(label, result)
}

// Context ends with the check, at its deadline, or when the run is interrupted.
func (c *Case) Context() context.Context { return c.tb.Context() }

// clear kills the subject and then closes the connections, so that the lab does not report what
// a check left on purpose, and the subject does not see its clients go.
func (c *Case) clear() {
	c.KillSubject()
	c.DismissClients()
}

// DismissClients closes all connections of clients and ends the waits of those that come later.
func (c *Case) DismissClients() {
	c.mu.Lock()
	c.dismissed = true
	c.mu.Unlock()
	c.CloseConnections()
}

// CloseConnections closes all connections of clients.
func (c *Case) CloseConnections() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, k := range conns {
		k.Close()
	}
}

// KillSubject kills every process of the subject at one instant.
func (c *Case) KillSubject() {
	c.endedByCheck()
	c.Apply(fault.KillAll{Host: c.Host})
}

// KillSubjectWithoutTrace is [Case.KillSubject] that destroys what is left of the subject's
// connections, too, so that bind does not fail in the next start: other checks judge that.
func (c *Case) KillSubjectWithoutTrace() {
	c.KillSubject()
	_, _ = fault.Apply(c.Context(), c.Lab, fault.Destroy{Host: c.Host, What: "what is left of the connections", Match: func(k rig.Socket) bool {
		return k.Local.Port() == c.Subject.ListenPort() // an error shows when bind fails
	}})
}

// Apply applies a fault, and returns what heals it. A fault of processes of which none is
// alive does nothing: what the check looks at next says why.
func (c *Case) Apply(f fault.Fault) (heal func()) {
	healed := func() {}
	stimulus, lasts := stimulusOf(f)
	if stimulus != "" {
		c.Did(stimulus)
	}
	if lasts {
		healed = c.Lasts(stimulus)
	}
	applied, err := fault.Apply(c.Context(), c.Lab, f)
	if errors.Is(err, os.ErrProcessDone) {
		return func() {}
	}
	if _, limits := f.(fault.NoDescriptors); limits && errors.Is(err, os.ErrPermission) {
		c.Skip("the check needs CAP_SYS_RESOURCE to limit the descriptors of this subject, whose real, effective and saved user IDs are not all equal, or are not those of the rig")
	}
	c.Must(err)
	return func() {
		c.Must(applied.Heal(c.Context()))
		healed()
	}
}

// Targets targets these processes as long as they live. what names them in a few words.
func (c *Case) Targets(what string, who rig.ProcessInfos) []rig.Target {
	return []rig.Target{c.Host.Matching(what, func(i rig.ProcessInfo) bool { return slices.ContainsFunc(who, i.Same) })}
}

// applies skips the check where it does not apply.
func (c *Case) applies() {
	if lacks := c.Service.Lacks(c.Check.Needs...); lacks != "" {
		c.Skip("the check needs a service with the ability %q, which %s lacks: see -service and docs/dialogues.md", lacks, c.serviceName())
	}
	if c.Check.Forks && c.Subject.serves != "" {
		c.needsWorker(c.Subject.serves)
	}
	if c.Check.Binds {
		if err := kernelBinds(c.Context()); err != nil {
			c.Broken("%v", err)
		}
	}
}

// serviceName names the service for people.
func (c *Case) serviceName() string {
	switch {
	case c.Service.IsZero():
		return "an unknown one"
	case c.Service.Name == "":
		return "this dialogue"
	case c.Subject.Closes == Server:
		return c.Service.Name + " with -closes server"
	}
	return c.Service.Name
}

// Note adds to what is observed.
func (c *Case) Note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// Finding adds stable names of what is wrong: see [scorecard.Result].
func (c *Case) Finding(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if !slices.Contains(c.findings, name) {
			c.findings = append(c.findings, name)
		}
	}
}

// pass is the verdict where the check gave none. A subject that the rig had to end fails.
func (c *Case) pass() {
	if c.Host.Overcrowded() {
		c.Fail("", "the subject starts more and more processes")
	}
	if c.byDesign() {
		c.Note("by design, but not seen")
	}
	c.conclude(scorecard.Pass, "", "")
}

// byDesign says whether the subject may fail this check.
func (c *Case) byDesign() bool { return slices.Contains(c.Subject.ByDesign, c.Check.Name) }

// Fail ends the check: the subject did what is observed, and the remedy says what to do
// and, after a colon, why; "" where the check does not know. Where that is meant, the verdict is
// by-design.
func (c *Case) Fail(remedy, observed string, args ...any) {
	if c.byDesign() && !c.Host.Overcrowded() {
		c.conclude(scorecard.ByDesign, fmt.Sprintf(observed, args...), remedy)
		c.tb.SkipNow()
	}
	c.conclude(scorecard.Fail, fmt.Sprintf(observed, args...), remedy)
	c.tb.FailNow()
}

// Warn ends the check as [Case.Fail] does where what the subject did is disputed, or hardly
// happens.
func (c *Case) Warn(remedy, observed string, args ...any) {
	c.conclude(scorecard.Warn, fmt.Sprintf(observed, args...), remedy)
	c.tb.SkipNow()
}

// Broken ends the check: a precondition was not met.
func (c *Case) Broken(format string, args ...any) {
	c.conclude(scorecard.Broken, "", fmt.Sprintf(format, args...))
	c.tb.FailNow()
}

// Skip ends the check: it does not apply to this subject.
func (c *Case) Skip(format string, args ...any) {
	c.conclude(scorecard.Skip, "", fmt.Sprintf(format, args...))
	c.tb.SkipNow()
}

// Must ends the check as broken where the rig itself met an error, and skips it
// where the machine lacks a feature.
func (c *Case) Must(err error) {
	var missing *rig.MissingError
	switch {
	case errors.As(err, &missing):
		rig.SkipIfMissing(c.tb, err)
	case err != nil:
		c.Broken("%v", err)
	}
}

var errOvercrowded = errors.New("the subject exceeds the rig's limit of 1,000 processes and 3,000 threads, and was ended: limit the number of workers")

// conclude gives the verdict. why is the remedy, or for broken and skip the reason.
func (c *Case) conclude(verdict scorecard.Verdict, observed, why string) {
	if c.ended() {
		return // what comes to light afterwards may be a consequence of the end
	}
	var evidence []string
	var end *scorecard.End
	if verdict == scorecard.Fail || verdict == scorecard.Broken {
		evidence = c.evidence()
		if c.Host != nil && c.Host.Overcrowded() {
			verdict, why = scorecard.Fail, errOvercrowded.Error()
		} else if verdict == scorecard.Fail {
			end = c.end()
		}
		if end != nil && end.Signal == "SIGPIPE" {
			why = strings.TrimSuffix("ignore SIGPIPE, or send with MSG_NOSIGNAL; "+why, "; ")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result.Verdict != "" {
		return // the first verdict counts
	}
	parts := c.notes
	if observed != "" {
		parts = append([]string{observed}, parts...)
	}
	if c.Lab != nil {
		c.Lab.Journal.RecordAs(rig.EventVerdict, "check", "%s: %s", verdict, cmp.Or(strings.Join(parts, "; "), why, "as it should be"))
	}
	c.result.Verdict, c.result.End, c.result.Stimuli = verdict, end, c.history.stimuli
	if verdict == scorecard.Broken || verdict == scorecard.Skip {
		c.result.Reason = why
	} else {
		c.result.Remedy = why
	}
	c.result.Observed, c.result.Evidence = strings.Join(parts, "; "), evidence
	if verdict != scorecard.Broken && verdict != scorecard.Skip {
		c.result.Findings = c.findings
	}
}

// ended says whether the check was ended from outside, by its deadline or by the end
// of the run.
func (c *Case) ended() bool { return c.limit != nil && c.limit.Err() != nil }

// evidence is what the kernel shows of the subject now, what it wrote, and what
// was done to it.
func (c *Case) evidence() []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c.Host == nil {
		return nil
	}
	if processes, err := c.Host.Processes(); err == nil {
		add("processes: %v", processes)
		for i, info := range processes.Alive() {
			if fds, err := c.Host.FDs(info); err == nil && i < 4 {
				add("descriptors of %s pid %d: %v", info.Name, info.PID, fds)
			}
		}
	}
	if sockets, err := c.Host.Sockets(); err == nil {
		add("sockets: %v", sockets.On(c.Subject.ListenPort()))
	}
	c.mu.Lock()
	servers := c.servers
	c.mu.Unlock()
	for _, s := range servers {
		for _, stream := range []struct {
			name   string
			output *rig.Output
		}{{"stdout", s.Process.Stdout}, {"stderr", s.Process.Stderr}} {
			last := stream.output.Last(6)
			if all := stream.output.Lines(); len(all) > len(last) {
				// A crashed program prints the reason before its long dump.
				for _, line := range all[:len(all)-len(last)] {
					if fatal.MatchString(line) {
						add("%s of pid %d: %s", stream.name, s.Process.PID, line)
					}
				}
			}
			for _, line := range last {
				add("%s of pid %d: %s", stream.name, s.Process.PID, line)
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(c.Lab.Journal.Tail(20), "\n"), "\n") {
		add("%s", line)
	}
	return lines
}
