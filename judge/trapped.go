// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"forkrig/rig"
	"forkrig/rig/inject"
)

// StartTrapped starts the subject with the calls trapped. It skips the check where the machine
// cannot do that, and breaks it where the subject does not listen.
func (c *Case) StartTrapped(calls ...inject.Call) (*Instance, *inject.Session) {
	s, session, err := c.TryStartTrapped(calls...)
	rig.SkipIfMissing(c.tb, err)
	c.Must(err)
	return s, session
}

// TryStartTrapped is [Case.StartTrapped] where what goes wrong is an error. There is a session
// where the subject was started. All processes of the host are its own: one that was started
// before has been killed.
func (c *Case) TryStartTrapped(calls ...inject.Call) (*Instance, *inject.Session, error) {
	command, err := c.Command(Launch{})
	if err != nil {
		return nil, nil, err
	}
	session, err := inject.Start(c.Context(), c.Host, command, calls...)
	if err != nil {
		return nil, nil, err
	}
	c.stall.answeredBy(session)
	s, err := c.await(session.Process, nil, 0)
	return s, session, err
}
