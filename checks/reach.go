package checks

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"forkrig/rig"
)

// Reach finds out in which address families the subject can be judged: it starts
// it in each, and connects. For a family in which it does not listen there is an
// error that says why, with what the subject wrote.
func Reach(tb testing.TB, subject Subject) map[rig.Family]error {
	tb.Helper()
	absent := map[rig.Family]error{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, family := range rig.Families {
		wait.Go(func() {
			if err := reach(tb, subject, family); err != nil {
				mu.Lock()
				defer mu.Unlock()
				absent[family] = err
			}
		})
	}
	wait.Wait()
	return absent
}

func reach(tb testing.TB, subject Subject, family rig.Family) (err error) {
	c := &Case{Family: family, subject: subject}
	trial := rig.Try(tb, func(tb testing.TB) {
		c.build(tb)
		var s *server
		if s, err = c.tryStart(); err != nil {
			return
		}
		if err = c.answers(); err != nil && s.process.Running() {
			err = fmt.Errorf("%w\nit listens at %v", err, s.listener.Local)
		}
	})
	if c.host != nil && c.host.Overcrowded() {
		return errOvercrowded
	}
	if err == nil && (trial.Failed || trial.Skipped) {
		err = errors.New(strings.TrimSpace(trial.Log))
	}
	return err
}

// answers holds one conversation, to tell a subject that is not what the user
// says it is from one that is wrong.
func (c *Case) answers() error {
	k, err := c.dial(0)
	if err != nil {
		return fmt.Errorf("a client cannot connect: %w", err)
	}
	defer k.close()
	err = k.exchange()
	var wrong *wrongBytes
	switch {
	case c.subject.Service == None || err == nil || errors.As(err, &wrong) && !c.otherService(wrong):
		return nil // what is wrong with it the checks tell
	case errors.As(err, &wrong):
		return fmt.Errorf("it does not answer as the service %s does: %w: say which it is (-service)", c.subject.Service, err)
	}
	return fmt.Errorf("it does not answer as the service %s does: %w: if it does something else, say -service none", c.subject.Service, err)
}

// otherService says whether the answer is that of another service than was named.
func (c *Case) otherService(wrong *wrongBytes) bool {
	return wrong.at == 0 && strings.EqualFold(string(wrong.got), string(wrong.wanted[:len(wrong.got)]))
}
