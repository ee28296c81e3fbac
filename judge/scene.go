// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Scene is a lab with a subject, for stories that are told elsewhere and judged as
// checks are: package search makes up random ones. Its methods belong on the
// goroutine of the story.
type Scene struct {
	c      *Case
	server *Instance // the one that was started last
}

// Stage says where and how a story is told.
type Stage struct {
	Name    string // of the result
	Meaning string // what is expected, in a line
	Subject Subject
	Family  rig.Family
	Clients int // hosts of clients
	// Hasty gives waits up after an eighth of [rig.Settling]. What is found then is a
	// suspicion: on a busy machine it may be wrong.
	Hasty bool
}

// Tell makes a lab, tells the story in it and returns the verdict, as
// [Check.Judge] does. A story that returns has passed.
func Tell(tb rig.TB, stage Stage, story func(*Scene)) scorecard.Result {
	tb.Helper()
	check := Check{Name: stage.Name, Meaning: stage.Meaning, Clients: stage.Clients, Run: func(c *Case) {
		c.shortWaits = stage.Hasty
		story(&Scene{c: c})
	}}
	return check.Judge(tb, stage.Subject, stage.Family)
}

// Context ends with the story.
func (s *Scene) Context() context.Context { return s.c.Context() }

// Lab is where the story is told.
func (s *Scene) Lab() *rig.Lab { return s.c.Lab }

// Host is the subject's.
func (s *Scene) Host() *rig.Host { return s.c.Host }

// Clients are the hosts of clients.
func (s *Scene) Clients() []*rig.Host { return s.c.Clients }

// Fail ends the story: the subject did what was observed, because of cause. The
// cause says what to do about it.
func (s *Scene) Fail(cause, observed string, args ...any) { s.c.Fail(cause, observed, args...) }

// Broken ends the story: a precondition was not met.
func (s *Scene) Broken(format string, args ...any) { s.c.Broken(format, args...) }

// Must ends the story as broken where the rig itself met an error.
func (s *Scene) Must(err error) { s.c.Must(err) }

// Note adds to what is observed.
func (s *Scene) Note(format string, args ...any) { s.c.Note(format, args...) }

// Until waits until seen says yes, or until it is not worth waiting any more:
// then the error is one of [Hopeless], and last is what was seen last.
func (s *Scene) Until(what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	return s.c.Until(what, seen)
}

// Hopeless says whether a wait ended because the subject is quiescent or in a busy loop, or
// because the longest time of a wait was over.
func Hopeless(err error) bool {
	return errors.Is(err, ErrQuiescent) || errors.Is(err, ErrBusy) || errors.Is(err, rig.ErrNotObserved)
}

// Hasty says whether waits are given up early: see [Stage].
func (s *Scene) Hasty() bool { return s.c.shortWaits }

// Settled waits until the subject has come to rest for a moment.
func (s *Scene) Settled() bool { return s.c.AwaitRest() }

// Sockets are those on the subject's port.
func (s *Scene) Sockets() (rig.Sockets, error) { return s.c.PortSockets() }

// Start starts the subject. own is how many processes it has before its first
// connection, where that is known; otherwise Start waits for rest, which takes
// longer. With limited it runs as a user whose processes the kernel limits.
func (s *Scene) Start(own int, limited bool) (err error) {
	var next *Instance
	if limited && !rig.Rootless() {
		next, err = s.c.launchLimited(own)
	} else {
		next, err = s.c.launch(s.c.Subject.At(s.c.Address), own)
	}
	if err == nil {
		s.server = next
	}
	return err
}

// Own are the processes that the subject had before its first connection.
func (s *Scene) Own() rig.ProcessInfos { return s.server.Own }

// IsOwn says whether the process is one of them.
func (s *Scene) IsOwn(info rig.ProcessInfo) bool { return s.server.IsOwn(info) }

// Listeners are those of them that hold the listening socket.
func (s *Scene) Listeners() rig.ProcessInfos { return s.server.Listeners() }

// Head is the process that an administrator would send a signal to.
func (s *Scene) Head() rig.ProcessInfo { return s.server.Head() }

// HowItEnded says how the process that was started ended, " (exit status 1)", or
// "" where it did not.
func (s *Scene) HowItEnded() string { return s.server.HowItEnded() }

// Neutral are signals that no server takes for a command and the listener
// catches, and those that the user named.
func (s *Scene) Neutral() []syscall.Signal { return s.server.NeutralSignals() }

// Described lists processes with their roles.
func (s *Scene) Described(l rig.ProcessInfos) string { return s.server.Describe(l) }

// ReapedByTimer says whether the listener may reap by a timer, and waits for that.
func (s *Scene) ReapedByTimer() bool {
	return s.c.HasTimer(s.server.Listeners()) && s.c.ReapedByTimer()
}

// Link is a client's connection to the subject.
type Link struct{ k *Conn }

// Dial connects from the n-th client's host, from 0. It does not wait until the
// subject accepts.
func (s *Scene) Dial(n int) (Link, error) {
	k, err := s.c.Dial(n)
	return Link{k}, err
}

// Say sends bytes and returns when the kernel has taken them.
func (l Link) Say(b []byte) error { return l.k.Send(b) }

// SayNow sends what the kernel takes at once, and returns how much that was.
func (l Link) SayNow(b []byte) (int, error) {
	_ = l.k.SetWriteDeadline(time.Time{}) // cannot fail on an open socket; another call may have set one
	raw, err := l.k.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var writeErr error
	err = raw.Write(func(fd uintptr) bool {
		n, writeErr = syscall.Write(int(fd), b)
		return true
	})
	if errors.Is(writeErr, syscall.EAGAIN) {
		return 0, err
	}
	return max(n, 0), errors.Join(err, writeErr)
}

// Expect reads as many bytes as wanted has and compares them. The error is
// [WrongBytes] where they differ.
func (l Link) Expect(wanted []byte) error { return l.k.Expect(wanted) }

// WrongBytes says whether the error is about bytes that came and should not.
func WrongBytes(err error) bool {
	var wrong *wrongBytes
	return errors.As(err, &wrong)
}

// End reads the end of the stream.
func (l Link) End() error { return l.k.AwaitEnd() }

// Accepted waits until the subject has accepted the connection, or closed it.
func (l Link) Accepted() error { return l.k.AwaitAccepted() }

// FinishSending closes the sending side.
func (l Link) FinishSending() error { return l.k.CloseWrite() }

// Close closes the connection, with a reset where an answer is unread.
func (l Link) Close() { l.k.End() }

// Reset ends the connection with a reset.
func (l Link) Reset() { l.k.Reset() }

// Server is the subject's side of the connection, if it is there: not in
// TIME-WAIT.
func (l Link) Server() (socket rig.Socket, there bool, err error) { return l.k.ServerSocket() }

// Ended says whether an error of a connection says that the other side ended it.
func Ended(err error) bool {
	return err != nil && !Hopeless(err) && !WrongBytes(err) && !errors.Is(err, errDismissed) &&
		!errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed)
}

// TakeNow reads what has come, without waiting. There is nothing where n is 0 and
// err nil; the end of the stream is io.EOF.
func (l Link) TakeNow(b []byte) (n int, err error) {
	_ = l.k.SetReadDeadline(time.Time{}) // as in SayNow
	raw, err := l.k.SyscallConn()
	if err != nil {
		return 0, err
	}
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		n, readErr = syscall.Read(int(fd), b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(readErr, syscall.EAGAIN):
		return 0, nil
	case readErr != nil:
		return 0, readErr
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
