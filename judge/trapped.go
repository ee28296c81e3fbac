// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"forkrig/rig"
	"forkrig/rig/inject"
)

// StartTrapped starts the subject with the calls trapped.
func (c *Case) StartTrapped(calls ...inject.Call) (*Instance, *inject.Session) {
	command, err := c.Command(Launch{})
	c.Must(err)
	session, err := inject.Start(c.Context(), c.Host, command, calls...)
	rig.SkipIfMissing(c.tb, err)
	s, err := c.AwaitTrapped(session)
	c.Must(err)
	return s, session
}

// AwaitTrapped waits until a subject whose calls are trapped listens. All processes of the
// host are its own: one that was started before has been killed.
func (c *Case) AwaitTrapped(session *inject.Session) (*Instance, error) {
	c.stall.answeredBy(session)
	return c.await(session.Process, nil, 0)
}
