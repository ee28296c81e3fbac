package tcpclient

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A load is the part of one process.
type load struct {
	cfg    config
	part   part
	tally  *tally
	events *lineWriter // for what is announced
	quiet  bool        // announce gatherings, but not what is lost

	holding *gathering
	leaving *gathering
}

func newLoad(cfg config, p part, events *lineWriter) *load {
	l := &load{cfg: cfg, part: p, tally: &tally{}, events: events}
	if cfg.hold {
		l.holding = newGathering("holding", p.connections)
	}
	switch {
	case cfg.leave == leaveKill, cfg.leave == leaveStall && cfg.parallel < p.connections:
		l.leaving = newGathering("", p.connections)
	case cfg.leave == leaveStall:
		l.leaving = newGathering("stalling", p.connections)
	}
	return l
}

// run opens all connections and returns when they have ended; or when all that could are
// waiting to be killed, and then it returns true.
func (l *load) run(releases <-chan struct{}) (toBeKilled bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.work()
	}()
	for _, g := range []*gathering{l.holding, l.leaving} {
		if g == nil {
			continue
		}
		if l.cfg.leave == leaveKill && g == l.leaving {
			<-g.complete
			present, _ := g.counts()
			if present > 0 {
				return true, nil
			}
			continue
		}
		if g.event != "" {
			<-g.complete
			present, absent := g.counts()
			if err := l.events.write(Gathered{Event: g.event, Connections: present, Failed: absent, PIDs: ownPID()}); err != nil {
				return false, err
			}
		}
		select {
		case <-releases:
		case <-done:
		}
		close(g.released)
	}
	<-done
	return false, nil
}

// work has the conversations, a limited number of them at the same time.
func (l *load) work() {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(l.cfg.parallel, l.part.connections) {
		workers.Go(func() {
			scratch := newScratch(l.cfg.size)
			for {
				i := int(next.Add(1)) - 1
				if i >= l.part.connections {
					return
				}
				l.converse(l.part.first+i, scratch)
			}
		})
	}
	workers.Wait()
}

func (l *load) converse(number int, scratch *scratch) {
	c := &conversation{
		cfg:     l.cfg,
		process: l.part.process,
		number:  number,
		tally:   l.tally,
		scratch: scratch,
		holding: l.holding,
		leaving: l.leaving,
	}
	if !l.quiet {
		c.events = l.events
	}
	l.tally.end(c.run())
	for _, g := range []*gathering{l.holding, l.leaving} {
		if g != nil && !slices.Contains(c.passed, g) {
			g.miss()
		}
	}
}

// runLoad runs the whole load in this process.
func runLoad(cfg config, std streams) error {
	releases, stop := awaitReleases(cfg, std.in)
	defer stop()
	l := newLoad(cfg, share(cfg.connections, 1, 0), &lineWriter{out: std.out})
	l.quiet = !cfg.json
	started := time.Now()
	stopProgress := showProgress(std, cfg.connections, l.tally.progress)
	toBeKilled, err := l.run(releases)
	stopProgress()
	if err != nil {
		return err
	}
	err = conclude(cfg, l.tally, time.Since(started), l.events, std)
	if toBeKilled {
		if err != nil {
			fmt.Fprintln(std.err, err)
		}
		return killSelf()
	}
	return err
}

// conclude prints the report; its error says what went wrong.
func conclude(cfg config, t *tally, duration time.Duration, events *lineWriter, std streams) error {
	report := newReport(cfg, t, duration)
	if !cfg.json {
		report.print(std.out)
	} else if err := events.write(report); err != nil {
		return err
	}
	return report.Err()
}
