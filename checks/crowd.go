package checks

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"forkrig/rig"
)

// crowd lets n clients visit the subject, so many at a time, and returns the
// errors of those that were not served.
func (c *Case) crowd(n, together int) error {
	var wait sync.WaitGroup
	turns := make(chan int)
	errs := make([]error, n)
	for range min(n, together) {
		wait.Go(func() {
			for i := range turns {
				errs[i] = c.visit(i)
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	wait.Wait()
	return summary(errs)
}

// held connects n clients and brings each to where the subject serves it. It
// ends early where the subject serves no more of them at a time, but never
// below two.
func (c *Case) held(n int) []*conn {
	var all []*conn
	for i := range n {
		k, err := c.dial(i)
		if err == nil {
			err = k.begin()
		}
		if errors.Is(err, errStuck) && i >= 2 {
			k.close()
			c.note("it serves %d clients at a time", i)
			break
		}
		c.mustServe(err)
		all = append(all, k)
	}
	return all
}

// mustServe ends the check as broken where a client was not served, in a check
// that is about something else.
func (c *Case) mustServe(err error) {
	if err != nil {
		c.broken("a client is not served, which other checks judge: %v", err)
	}
}

// summary joins what went wrong into one error with how often it did.
func summary(errs []error) error {
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
	return fmt.Errorf("%d of %d clients: %w", failed, len(errs), first)
}

// workersEnd waits until no process is left that came with a connection, zombies
// aside, and fails the check where one stays.
func (s *server) workersEnd(after string) {
	c := s.c
	_, err := c.until("the end of the workers", func() (bool, string, error) {
		left, err := s.workersAlive()
		return len(left) == 0, left.String(), err
	})
	if err == nil {
		return
	}
	left, listErr := s.workersAlive()
	c.must(listErr)
	c.fail("a worker must end when its client has left: read until the end of the stream (0) or an error, and exit then",
		"%d workers live on after %s: %v", len(left), after, firstLine(err))
}

func (s *server) workersAlive() (rig.ProcessInfos, error) {
	processes, err := s.c.host.Processes()
	var left rig.ProcessInfos
	for _, info := range processes.Alive() {
		if !s.isOwn(info) {
			left = append(left, info)
		}
	}
	return left, err
}
