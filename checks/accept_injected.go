// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"forkrig/judge"
	"forkrig/rig/inject"
	"forkrig/scorecard"
)

var acceptAborted = judge.Check{
	Name:    "accept-aborted",
	Meaning: "an error of accept that concerns one connection does not end the listener",
	Defects: []string{"exit-on-accept-error"},
	Run: func(c *judge.Case) {
		a := acceptErrors{Case: c, remedy: "call accept again: the error concerns one connection, which is gone"}
		a.judge(acceptError{name: "ECONNABORTED", errno: syscall.ECONNABORTED},
			acceptError{name: "EPROTO", errno: syscall.EPROTO, disputed: true})
	},
}

var acceptShort = judge.Check{
	Name:    "accept-short",
	Meaning: "when accept fails because the system is short of files or memory, the listener does not end",
	Defects: []string{"exit-on-accept-error", "exit-on-enfile"},
	Run: func(c *judge.Case) {
		a := acceptErrors{Case: c, remedy: "log the error, wait a moment and call accept again: a lack of resources passes"}
		a.judge(acceptError{name: "ENFILE", errno: syscall.ENFILE},
			acceptError{name: "ENOBUFS", errno: syscall.ENOBUFS, disputed: true},
			acceptError{name: "ENOMEM", errno: syscall.ENOMEM})
	},
}

// acceptError is an error with which accept is made to fail. Those of one connection, such as
// ECONNABORTED, do not come about on Linux by what a client does (accept(2)).
type acceptError struct {
	name     string
	errno    syscall.Errno
	disputed bool // a listener that does not survive it, such as that of Go's package net, gets a warning
}

// acceptErrors is what came of errors of accept.
type acceptErrors struct {
	*judge.Case
	remedy  string
	session *inject.Session
	healed  func() // says that an error was survived

	survived, ended, deaf []string // names of errors
	wrong                 bool     // one that is not disputed was not survived
	controlled            bool     // without an error the listener survives what the check does
}

// acceptCalls are the ways to accept.
var acceptCalls = []inject.Call{"accept", "accept4"}

// judge lets accept fail once with each of the errors, and then lets a client come. A
// listener that does not survive an error is started again for the next one. The finding is
// the error's name; where the listener goes on to listen, and serves no client, it ends in
// "-deaf".
func (a *acceptErrors) judge(all ...acceptError) {
	_, a.session = a.StartTrapped(acceptCalls...)
	a.MustServe(a.Visit(0))
	for i, e := range all {
		if err := a.provoke(e.errno); err != nil {
			// The listener ended before accept was called: late, of the error before.
			if i == 0 || a.ListensOn() {
				a.MustServe(err)
			}
			a.survived = slices.DeleteFunc(a.survived, func(name string) bool { return name == all[i-1].name })
			a.blame(all[i-1])
			if !a.startAgain(all[i:]) {
				break
			}
			a.MustServe(a.provoke(e.errno))
		}
		if a.serves() {
			a.survived = append(a.survived, e.name)
			a.healed()
			continue
		}
		a.blame(e)
		if (i < len(all)-1 || !a.controlled) && !a.startAgain(all[i+1:]) {
			break
		}
	}
	a.conclude()
}

// provoke lets the next call of accept fail, and returns when one did. The error is that of a
// client that came before, and was not served.
func (a *acceptErrors) provoke(errno syscall.Errno) error {
	a.Must(a.session.Set(inject.Rule{Calls: acceptCalls, Nth: 1, Errno: errno}))
	a.Did(scorecard.AcceptError)
	a.healed = a.Lasts(scorecard.AcceptError)
	hit := func() (bool, string, error) { return len(a.session.Hits()) > 0, "", nil }
	// The accept that waits was called before. The next one fails, and the client waits for
	// the one after that. A client may be refused before the hit is noted.
	var err error
	for range 3 {
		if err = a.Visit(0); err != nil || len(a.session.Hits()) > 0 {
			break
		}
	}
	if _, never := a.Until("a call of accept", hit); never == nil {
		return nil
	}
	if err == nil {
		a.Skip("the subject calls neither accept nor accept4")
	}
	return err
}

// serves says whether a client is served. It waits for a listener that may be ending, or that
// listens again in a moment. A client in the backlog of a listener that ends looks as if it
// was served: the listener must be there afterwards.
func (a *acceptErrors) serves() bool {
	a.AwaitRest()
	for range 2 {
		if a.Visit(0) == nil && a.Listens() {
			return true
		}
		if !a.ListensOn() {
			return false
		}
	}
	return false
}

// blame notes that the listener did not survive an error.
func (a *acceptErrors) blame(e acceptError) {
	if a.wrong = a.wrong || !e.disputed; a.wrong {
		a.KeepEnd()
	}
	if a.Listens() {
		a.deaf = append(a.deaf, e.name)
		a.Finding(e.name + "-deaf")
		return
	}
	a.ended = append(a.ended, e.name)
	a.Finding(e.name)
}

// startAgain starts the subject again, and says whether it listens: otherwise the errors that
// are left are not tried. What is left of its connections goes, so that bind does not fail,
// which another check judges.
func (a *acceptErrors) startAgain(left []acceptError) bool {
	a.session.Clear()
	a.healed()
	a.KillSubjectWithoutTrace()
	_, again, err := a.TryStartTrapped(acceptCalls...)
	if again != nil {
		a.session = again
	}
	if err != nil {
		for _, e := range left {
			a.Note("%s was not tried: the subject does not start again: %s", e.name, judge.StartFailure(err))
		}
		return false
	}
	if !a.controlled {
		a.control()
	}
	return true
}

// control does what the check does, without an error. A listener that does not survive that
// does not end because of one.
func (a *acceptErrors) control() {
	for range 2 {
		a.MustServe(a.Visit(0))
		if !a.serves() {
			a.MustServe(errors.New("the listener ends when a client leaves"))
		}
	}
	a.controlled = true
}

func (a *acceptErrors) conclude() {
	var observed []string
	if len(a.ended) > 0 {
		observed = append(observed, "the listener ends when accept fails with "+strings.Join(a.ended, ", "))
	}
	if len(a.deaf) > 0 {
		observed = append(observed, "a client is not served after accept failed with "+strings.Join(a.deaf, ", "))
	}
	if len(a.survived) > 0 {
		a.Note("the listener survived %s from accept", strings.Join(a.survived, ", "))
	}
	switch text := strings.Join(observed, "; "); {
	case a.wrong:
		a.Fail(a.remedy, "%s", text)
	case text != "":
		a.Warn(a.remedy, "%s", text)
	}
	a.session.Clear()
	a.KillSubject()
}
