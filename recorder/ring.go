// SPDX-License-Identifier: Apache-2.0

package recorder

// ring keeps the last things that were added to it.
type ring[T any] struct {
	most   int // how many it keeps
	things []T
	next   int // where the oldest one is, once it is full
}

// add adds a thing. It returns the oldest one where that had to make room.
func (r *ring[T]) add(thing T) (oldest T, full bool) {
	if len(r.things) < r.most {
		r.things = append(r.things, thing)
		return oldest, false
	}
	oldest, r.things[r.next] = r.things[r.next], thing
	r.next = (r.next + 1) % r.most
	return oldest, true
}

// all returns what is kept, oldest first.
func (r *ring[T]) all() []T {
	return append(append(make([]T, 0, len(r.things)), r.things[r.next:]...), r.things[:r.next]...)
}
