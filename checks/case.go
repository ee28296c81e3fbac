package checks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Case is one check of one subject in one family: its lab, and its verdict.
type Case struct {
	rig.Family

	check   Check
	subject Subject
	tb      testing.TB
	lab     *rig.Lab
	host    *rig.Host      // the subject's
	clients []*rig.Host    // those of its clients
	address netip.AddrPort // where the clients reach the subject
	pulse   *pulse
	// restless says that the subject does not come to rest. Only the check's own
	// goroutine uses it.
	restless bool
	hasty    bool // give up early: what is found must be found again in patience

	mu      sync.Mutex
	result  scorecard.Result
	notes   []string
	servers []*server // every start of the subject, oldest first
	conns   []*conn
	away    bool // the clients have been sent away
}

// build makes the lab.
func (c *Case) build(tb testing.TB) {
	c.tb = tb
	c.lab = rig.New(tb)
	if ours := rig.Program("").Args[0]; !strings.HasPrefix(c.subject.Command[0], ours) {
		c.lab.ExpectCrash() // of a foreign subject: what comes of it is for the check to judge
	}
	c.host, c.clients = c.lab.NewStar("server", "client", max(c.check.clients, 1))
	c.address = netip.AddrPortFrom(c.host.MustAddr(c.Family), c.subject.port())
	c.pulse = &pulse{rest: c.host.WatchRest()}
	tb.Cleanup(c.clear)
}

// clear closes the connections and kills the subject, so that the lab ends
// without a word about what a check left on purpose.
func (c *Case) clear() {
	c.sendAway()
	c.killSubject()
}

// sendAway sends all clients home, and lets none come again.
func (c *Case) sendAway() {
	c.mu.Lock()
	c.away = true
	c.mu.Unlock()
	c.sendHome()
}

// sendHome closes all connections of clients.
func (c *Case) sendHome() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, k := range conns {
		k.close()
	}
}

// killSubject kills every process of the subject at one instant, and again those
// that were being forked meanwhile. Of a subject that forks faster than it is
// killed, the kernel ends everything.
func (c *Case) killSubject() {
	const enough = 10
	kills := 0
	err := rig.Await(context.Background(), "the end of the subject", func() (bool, string, error) {
		if kills++; kills > enough {
			return true, "", c.host.KillAll()
		}
		killed, _, err := c.lab.KillTogether(context.Background(), c.host.Matching("every process", nil))
		return killed == 0, fmt.Sprintf("%d processes killed", killed), err
	})
	c.must(err)
}

// applies skips the check where it does not apply.
func (c *Case) applies() {
	if c.check.conversation > connections && c.subject.Service == None {
		c.skip("needs a service to converse with: -service echo or upper")
	}
	if c.check.conversation == dialogue && c.subject.Closes == Server {
		c.skip("needs a conversation of several messages, and the subject closes first (-closes server)")
	}
	if c.check.binds {
		if err := kernelBinds(c.tb); err != nil {
			c.broken("%v", err)
		}
	}
}

// note adds to what is observed.
func (c *Case) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// pass is the verdict where nothing else was said. Whatever else it did, a subject
// that the rig had to end is not right.
func (c *Case) pass() {
	if c.host.Overcrowded() {
		c.fail("", "the subject forks without end")
	}
	c.conclude(scorecard.Pass, "", "")
}

// fail ends the check: the subject did what is observed, because of cause.
func (c *Case) fail(cause, observed string, args ...any) {
	c.conclude(scorecard.Fail, fmt.Sprintf(observed, args...), cause)
	c.tb.FailNow()
}

// broken ends the check: something that it depends on did not come true.
func (c *Case) broken(format string, args ...any) {
	c.conclude(scorecard.Broken, "", fmt.Sprintf(format, args...))
	c.tb.FailNow()
}

// skip ends the check: it does not apply to this subject.
func (c *Case) skip(format string, args ...any) {
	c.conclude(scorecard.Skip, "", fmt.Sprintf(format, args...))
	c.tb.SkipNow()
}

// must ends the check as broken where the rig itself met an error, and skips it
// where the machine lacks a feature.
func (c *Case) must(err error) {
	var missing *rig.MissingError
	switch {
	case errors.As(err, &missing):
		rig.SkipIfMissing(c.tb, err)
	case err != nil:
		c.broken("%v", err)
	}
}

var errOvercrowded = errors.New("the subject has more processes than the rig lets it have, 1,000 with 3,000 threads, and was ended: limit how many it starts")

func (c *Case) conclude(verdict scorecard.Verdict, observed, cause string) {
	var evidence []string
	if verdict == scorecard.Fail || verdict == scorecard.Broken {
		evidence = c.evidence()
		if c.host != nil && c.host.Overcrowded() {
			verdict, cause = scorecard.Fail, errOvercrowded.Error()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result.Verdict != "" {
		return // the first word counts
	}
	parts := c.notes
	if observed != "" {
		parts = append([]string{observed}, parts...)
	}
	c.result.Verdict, c.result.Cause = verdict, cause
	c.result.Observed, c.result.Evidence = strings.Join(parts, "; "), evidence
}

// evidence is what the kernel shows of the subject now, what it wrote, and what
// was done to it.
func (c *Case) evidence() []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c.host == nil {
		return nil
	}
	if processes, err := c.host.Processes(); err == nil {
		add("processes: %v", processes)
		for i, info := range processes.Alive() {
			if fds, err := c.host.FDs(info); err == nil && i < 4 {
				add("descriptors of %s pid %d: %v", info.Name, info.PID, fds)
			}
		}
	}
	if sockets, err := c.host.Sockets(); err == nil {
		add("sockets: %v", sockets.On(c.subject.port()))
	}
	c.mu.Lock()
	servers := c.servers
	c.mu.Unlock()
	for _, s := range servers {
		for _, stream := range []struct {
			name   string
			output *rig.Output
		}{{"stdout", s.process.Stdout}, {"stderr", s.process.Stderr}} {
			last := stream.output.Last(6)
			if all := stream.output.Lines(); len(all) > len(last) {
				// What a program dies of stands above all that it tells of itself then.
				for _, line := range all[:len(all)-len(last)] {
					if strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "runtime: ") {
						add("%s of pid %d: %s", stream.name, s.process.PID, line)
					}
				}
			}
			for _, line := range last {
				add("%s of pid %d: %s", stream.name, s.process.PID, line)
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(c.lab.Journal.Tail(20), "\n"), "\n") {
		add("%s", line)
	}
	return lines
}
