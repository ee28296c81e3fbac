// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"
)

// An estimate is of the time until a number of things are done, by the time that those took that are.
// It is not safe for concurrent use.
type estimate struct {
	began time.Time     // the first of them
	left  time.Duration // at the time of the last look, 0 for none
	last  time.Time
}

// minEstimated is how long an estimate waits for what is measured: before that it would only mislead.
const minEstimated = 2 * time.Second

// enough says whether so many things are done that they say something of the others.
func enough(done, all int) bool { return done >= min(max(all/10, 3), 20) && done < all }

// text says when all things will be done, such as "about 40 s left"; "" where that is not known.
func (e *estimate) text(now time.Time, done, all int) string {
	gone := now.Sub(e.began)
	if gone < minEstimated || !enough(done, all) {
		return ""
	}
	found := time.Duration(float64(gone) / float64(done) * float64(all-done))
	switch passed := now.Sub(e.last); {
	case e.left == 0:
		e.left = found
	case passed > 0: // what was said before goes on, and moves towards what is found now, the slower the more is known
		e.left -= passed
		e.left += time.Duration(float64(found-e.left) * float64(passed) / float64(passed+gone/4))
		e.left = max(e.left, time.Second)
	}
	e.last = now
	return "about " + roughly(e.left) + " left"
}

// roughly is a time in words, no more exact than an estimate can be.
func roughly(d time.Duration) string {
	round := func(step time.Duration) time.Duration { return max(d.Round(step), step) }
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%d s", round(time.Second)/time.Second)
	case d < time.Minute:
		return fmt.Sprintf("%d s", round(5*time.Second)/time.Second)
	case d < 5*time.Minute:
		d = round(10 * time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", round(time.Minute)/time.Minute)
	}
	d = round(10 * time.Minute)
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
