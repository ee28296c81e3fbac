// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"forkrig/rig"
)

// Reach finds out in which of the address families the subject can be judged, and what it is:
// it starts it in each, and converses. For a family in which it does not listen there is an
// error that says why, with what the subject wrote. The profile is that of the first family in
// which the subject was found to be something.
func Reach(tb rig.TB, subject Subject, families ...rig.Family) (Profile, map[rig.Family]error) {
	tb.Helper()
	profiles := make([]Profile, len(families))
	errs := make([]error, len(families))
	var wait sync.WaitGroup
	for i, family := range families {
		wait.Go(func() { profiles[i], errs[i] = reach(tb, subject, family) })
	}
	wait.Wait()
	absent := map[rig.Family]error{}
	var profile Profile
	for i, family := range families {
		if errs[i] != nil {
			absent[family] = errs[i]
			continue
		}
		if profile.Seen.IsZero() || profile.Seen.Name == "none" {
			profile = profiles[i]
		}
	}
	return profile, absent
}

func reach(tb rig.TB, subject Subject, family rig.Family) (p Profile, err error) {
	c := &Case{Family: family, Subject: subject}
	trial := rig.Sub(tb.Context(), tb, func(tb rig.TB) {
		c.build(tb)
		var s *Instance
		if s, err = c.TryStart(Launch{}); err != nil {
			return
		}
		if p, err = c.profile(); err != nil && s.Process.Running() {
			err = fmt.Errorf("%w\nit listens at %v", err, s.Listener.Local)
		}
	})
	if c.Host != nil && c.Host.Overcrowded() {
		return p, errOvercrowded
	}
	if err == nil && (trial.Failed || trial.Skipped) {
		err = errors.New(strings.TrimSpace(trial.Log))
	}
	return p, err
}
