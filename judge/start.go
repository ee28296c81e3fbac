// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"slices"
	"time"

	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/rig/observe"
)

// Start starts the subject and waits until it listens and has come to rest. A subject that
// does not listen fails the check with causeOfFailure or, where that is "", breaks it.
func (c *Case) Start(causeOfFailure string) *Instance {
	s, err := c.TryStart(Launch{})
	if err != nil && causeOfFailure != "" {
		c.Fail(causeOfFailure, "the restarted subject does not listen: %v", StartFailure(err))
	}
	c.Must(err)
	return s
}

// Launch says how a subject is started.
type Launch struct {
	// Own is how many processes it has before its first connection, where that is known.
	// With 0 the start waits for rest, which takes longer.
	Own int
	// Limited runs it as [LimitedUser], because the kernel does not limit the processes of
	// root, with capabilities that do not lift that limit: it may read any file, listen on
	// any port and become another user. A subject with a user of its own keeps it; a sandbox
	// made without root has one user only, who is limited.
	Limited bool
	// Watched traps rt_sigaction(2), so that it is known which handlers have SA_RESTART. Where
	// the machine lacks [inject.FeatureSeccompNotify] the subject is started without.
	Watched bool
}

// LimitedUser is a user whose number of processes the kernel limits.
const LimitedUser = "65534"

// limitedCapabilities are CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SETGID, CAP_SETUID and
// CAP_NET_BIND_SERVICE (capabilities(7)). A process with CAP_SYS_ADMIN or CAP_SYS_RESOURCE
// would have no limit (RLIMIT_NPROC in getrlimit(2)).
var limitedCapabilities = []uintptr{0, 1, 6, 7, 10}

// TryStart is [Case.Start] where a subject that does not listen is an error.
func (c *Case) TryStart(how Launch) (*Instance, error) {
	command, err := c.Command(how)
	if err != nil {
		return nil, err
	}
	before, err := c.Host.Processes()
	if err != nil {
		return nil, err
	}
	c.started(before)
	var missing *rig.MissingError
	if how.Watched {
		session, err := inject.Start(c.Context(), c.Host, command)
		if err == nil {
			c.stall.answeredBy(session)
			s, err := c.await(session.Process, before, how.Own)
			if err == nil {
				s.session = session
			}
			return s, err
		}
		if !errors.As(err, &missing) && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	p, err := c.Host.Start(command)
	if err != nil {
		return nil, err
	}
	return c.await(p, before, how.Own)
}

// Command returns the command of one start of the subject, which gets a directory of its own
// where it wants one.
func (c *Case) Command(how Launch) (command rig.Command, err error) {
	user, capabilities := c.Subject.User, []uintptr(nil)
	if how.Limited && user == "" && !rig.Rootless() {
		user, capabilities = LimitedUser, limitedCapabilities
	}
	dir := ""
	if c.Subject.has("{dir}") {
		if dir, err = c.Lab.MakeDirectory(user); err != nil {
			return command, err
		}
	}
	c.dir = dir
	command = c.Subject.At(c.Address, dir)
	command.User, command.Capabilities = user, capabilities
	return command, nil
}

// await waits until what was started listens. Its processes are those that were not there
// before. own is that of [Launch].
func (c *Case) await(p *rig.Process, before rig.ProcessInfos, own int) (*Instance, error) {
	s := &Instance{Case: c, Process: p}
	c.mu.Lock()
	c.servers = append(c.servers, s)
	c.mu.Unlock()
	ready := c.Subject.Ready
	if ready == 0 {
		ready = defaultReady
	}
	var err error
	if s.Listener, err = c.awaitListen(p, rig.Scaled(ready)); err != nil {
		return nil, err
	}
	readOwn := func() (awake bool, err error) {
		all, err := c.Host.Processes()
		s.Own = nil
		for _, info := range all.Alive() {
			if !slices.ContainsFunc(before, info.Same) {
				s.Own = append(s.Own, info)
				awake = awake || info.State != rig.Sleeping
			}
		}
		return awake, err
	}
	if own == 0 {
		c.AwaitRest()
		_, err = readOwn()
	} else {
		// A subject that sleeps has opened its descriptors, and waits for a client.
		_, err = c.Until("the subject asleep", func() (bool, string, error) {
			awake, err := readOwn()
			return len(s.Own) >= own && !awake, s.Own.String(), err
		})
		if Hopeless(err) && len(s.Own) > 0 {
			err = nil // it has fewer than it had once, or is never at rest
		}
	}
	if err == nil && len(s.Own) == 0 {
		err = errors.New("no process of the subject is left")
	}
	if err != nil {
		return nil, err
	}
	s.daemon = !p.Running()
	if err := c.settlePort(s); err != nil {
		return nil, err
	}
	s.preForked = len(s.Own) > 1 && len(s.Listeners()) > 1
	return s, nil
}

// awaitListen waits until what was started listens, for as long as it may take, and up to
// patienceWithStart times as long while it still does something, as when it waits for a processor.
func (c *Case) awaitListen(p *rig.Process, ready time.Duration) (rig.Socket, error) {
	const patienceWithStart = 4
	began := time.Now()
	var late error // says how long the subject may take
	from := time.Duration(0)
	for longest := ready; ; longest = observe.MaxGap {
		ctx, cancel := context.WithTimeout(c.Context(), longest)
		listener, err := c.Host.AwaitListen(ctx, p, c.Subject.ListenPort())
		cancel()
		if !errors.Is(err, rig.ErrNotObserved) || c.Context().Err() != nil {
			return listener, err
		}
		if late == nil {
			late, from = err, c.stall.now()
		}
		if rests, err := c.stall.restsSince(from); err != nil || rests || time.Since(began) >= patienceWithStart*ready {
			return listener, late
		}
	}
}

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

// StartFailure says in few words why a subject that was started does not listen. It leaves
// out numbers that differ between families: the evidence has them.
func StartFailure(err error) string {
	if ended := new(rig.NotListeningError); errors.As(err, &ended) {
		return FirstLine(ended)
	}
	if errors.Is(err, rig.ErrNotObserved) {
		return "it runs, but does not listen in time (see -ready)"
	}
	return FirstLine(err)
}
