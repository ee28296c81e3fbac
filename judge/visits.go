// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Visit is a whole conversation of a new client.
func (c *Case) Visit(n int) error {
	k, err := c.VisitOrStay(n)
	if k != nil {
		k.Close()
	}
	return err
}

// VisitOrStay is [Case.Visit] where a client that is not served does not leave: it is returned.
// What is owed to one that has left would meet a reset.
func (c *Case) VisitOrStay(n int) (*Conn, error) {
	k, err := c.Dial(n)
	if err == nil {
		err = k.Finish()
	}
	c.served(err)
	if err != nil {
		return k, err
	}
	c.left()
	return nil, nil
}

func (c *Case) visit(n int) error {
	k, err := c.Dial(n)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Finish()
}

// Visits lets n clients visit the subject, so many at a time or as many as it serves, and returns
// the errors of those that were not served. A subject that keeps each client waiting, as one
// that throttles does, is visited by four times as many.
func (c *Case) Visits(n, together int) error {
	if limit := c.Subject.atATime; limit > 0 {
		together = min(together, max(limit/2, 1)) // it may count one that has left for a moment
	}
	if together > 1 {
		c.Did(scorecard.ManyClients)
	}
	var wait sync.WaitGroup
	turns := make(chan int)
	errs := make([]error, n)
	visitor := func() {
		for i := range turns {
			errs[i] = c.Visit(i)
		}
	}
	for range min(n, together) {
		wait.Go(visitor)
	}
	began := time.Now()
	for i := range n {
		turns <- i
		if i == together && c.Subject.atATime == 0 && time.Since(began) >= rig.Scaled(slowVisit) { // the quickest one took so long
			for range min(n-i, 3*together) {
				wait.Go(visitor)
			}
		}
	}
	close(turns)
	wait.Wait()
	c.Return(errs)
	return Summary(errs)
}

// slowVisit is how long a visit of a subject that throttles takes at least.
const slowVisit = time.Second / 2

// Return lets clients that were turned away come once more, one after the other, sets their
// errors anew and notes how many they were. All others have left.
func (c *Case) Return(errs []error) {
	away := 0
	for i, err := range errs {
		if !c.turnedAway(err) {
			continue
		}
		if away++; away == 1 {
			c.AwaitRest() // until it knows that the others have left
		}
		errs[i] = c.Visit(i)
	}
	if away > 0 {
		c.Note("it serves about %d clients at a time, and turned %d of %d away; they were served later", c.Subject.atATime, away, len(errs))
	}
}

// turnedAway says whether a subject of which it is known that it serves a few clients at a time
// answered something else than it should, or ended the connection without a word.
func (c *Case) turnedAway(err error) bool {
	var reply *dialogue.ReplyError
	return c.Subject.atATime > 0 && errors.As(err, &reply) && !Hopeless(err) &&
		!errors.Is(err, errDismissed) && !errors.Is(err, ErrForgotten)
}

// Hold connects n clients and brings each to where the subject serves it. It
// ends early where the subject serves no more of them at a time, and says so.
func (c *Case) Hold(n int) []*Conn {
	var all []*Conn
	for i := range n {
		k, err := c.Dial(i)
		if err == nil {
			err = k.Begin()
		}
		if i > 0 && (errors.Is(err, ErrQuiescent) || c.turnedAway(err)) {
			if k != nil {
				k.Close()
			}
			c.Note("it serves %d at a time", i)
			break
		}
		c.MustServe(err)
		all = append(all, k)
	}
	return all
}

// EndsSilent says whether the subject ends a silent connection by itself, and notes it: another
// client comes as k has come, and says nothing for as long as k has been connected, and a moment more
// because a busy machine may call the subject late. What a check did elsewhere is no reason for the
// end of k then.
func (c *Case) EndsSilent(k *Conn) bool {
	longest := time.Since(k.connected) + rig.Scaled(restTime)
	like, err := c.Dial(0)
	if err == nil {
		defer like.Close()
		err = like.Begin()
	}
	if err != nil {
		return false
	}
	_, err = c.Within(longest, "the end of a silent connection", func() (bool, string, error) {
		socket, there, err := like.ServerSocket()
		return err == nil && (!there || closedByServer(socket)), "it is open", err
	})
	if err != nil {
		return false
	}
	c.Note("the subject ends a silent connection within %v, so nothing is known about the one that was held",
		time.Since(like.connected).Round(100*time.Millisecond))
	return true
}

// ConnectionEnded ends a check that needed a silent connection to stay open, which did not: it is
// skipped where the subject ends such connections by itself, and broken for this reason otherwise.
func (c *Case) ConnectionEnded(k *Conn, otherwise string) {
	if c.EndsSilent(k) {
		c.Skip("the check needs a connection that stays open while its client is silent: this subject closes it")
	}
	c.Broken("%s", otherwise)
}

// MustServe ends the check where a client was not served, in a check that is about something
// else. After what the check did to the subject that is a fail; where it did nothing, or where
// the subject is neither gone nor quiescent nor busy, the check is broken.
func (c *Case) MustServe(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, errDeferred) {
		c.Skip("%v", speakFirst())
	}
	c.served(err)
	if end := c.end(); end != nil {
		how := end.String()
		if n := len(end.After); n > 0 {
			how += " " + end.After[n-1].String()
		}
		c.Fail("", "%s: a client is not served: %v", how, err)
	}
	c.Broken("a client is not served (other checks judge that): %v", err)
}

// Summary joins what went wrong into one error with how often it did.
func Summary(errs []error) error {
	var first error
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			first = cmp.Or(first, err)
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d clients not served; the first: %w", failed, len(errs), first)
}
