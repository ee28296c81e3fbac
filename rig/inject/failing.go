// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"fmt"
	"strings"

	"forkrig/rig"
)

// Failing is the fault, in the sense of package fault, that system calls of a
// subject fail as the rules say. Healing clears all rules of the session, which
// has one Failing at a time. It hits whichever processes of the subject the rules
// name; calls that block already are not hit.
type Failing struct {
	Session *Session
	Rules   []Rule
}

func (f Failing) String() string {
	var rules []string
	for _, r := range f.Rules {
		rules = append(rules, r.String())
	}
	return "system calls fail: " + strings.Join(rules, ", ")
}

// Break sets the rules. See [Session.Set] for errors.
func (f Failing) Break(context.Context, *rig.Lab) (heal func(context.Context) error, err error) {
	if f.Session == nil || len(f.Rules) == 0 {
		return nil, fmt.Errorf("fail system calls: the session or the rules are missing: start the subject by inject.Start, and give a rule")
	}
	if err := f.Session.Set(f.Rules...); err != nil {
		return nil, err
	}
	return func(context.Context) error {
		f.Session.Clear()
		return nil
	}, nil
}
