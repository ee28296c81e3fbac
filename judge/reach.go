// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"forkrig/rig"
)

// Reach finds out in which of the address families the subject can be judged: it starts
// it in each, and connects. For a family in which it does not listen there is an
// error that says why, with what the subject wrote.
func Reach(tb rig.TB, subject Subject, families ...rig.Family) map[rig.Family]error {
	tb.Helper()
	absent := map[rig.Family]error{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, family := range families {
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

func reach(tb rig.TB, subject Subject, family rig.Family) (err error) {
	c := &Case{Family: family, Subject: subject}
	trial := rig.Sub(tb.Context(), tb, func(tb rig.TB) {
		c.build(tb)
		var s *Instance
		if s, err = c.TryStart(Launch{}); err != nil {
			return
		}
		if err = c.answers(); err != nil && s.Process.Running() {
			err = fmt.Errorf("%w\nit listens at %v", err, s.Listener.Local)
		}
	})
	if c.Host != nil && c.Host.Overcrowded() {
		return errOvercrowded
	}
	if err == nil && (trial.Failed || trial.Skipped) {
		err = errors.New(strings.TrimSpace(trial.Log))
	}
	return err
}

// answers holds one conversation, to tell a subject of another service from one that answers
// wrongly.
func (c *Case) answers() error {
	k, err := c.Dial(0)
	if err != nil {
		return fmt.Errorf("a client cannot connect: %w", err)
	}
	defer k.Close()
	err = k.Exchange()
	var wrong *wrongBytes
	switch {
	case c.Subject.Service == None || err == nil || errors.As(err, &wrong) && !c.otherService(wrong):
		return nil // the checks judge wrong bytes
	case errors.As(err, &wrong):
		return fmt.Errorf("it does not answer as the service %s does: %w: name its service with -service", c.Subject.Service, err)
	}
	return fmt.Errorf("it does not answer as the service %s does: %w: use -service none for another service", c.Subject.Service, err)
}

// otherService says whether the answer is that of another service than was named.
func (c *Case) otherService(wrong *wrongBytes) bool {
	return wrong.at == 0 && strings.EqualFold(string(wrong.got), string(wrong.wanted[:len(wrong.got)]))
}
