// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowSource is a recorded machine whose reads take time, on the fake clock of a test.
type slowSource struct {
	takes time.Duration
	err   error

	mu        sync.Mutex
	processes []located
	began     []time.Time // each read
	wanted    [][]uint64  // namespaces that each read was asked for, of those that there are
	awakes    int
	threads   int // of the machine
	last      int // the number that the kernel gave last
	counts    int
	crowd     Crowd
}

func (s *slowSource) read(now time.Time, wanted, _ func(uint64) bool) ([]located, error) {
	s.mu.Lock()
	s.began = append(s.began, time.Now())
	var asked []uint64
	var found []located
	for _, p := range s.processes {
		if wanted(p.namespace) {
			found = append(found, p)
			if !slices.Contains(asked, p.namespace) {
				asked = append(asked, p.namespace)
			}
		}
	}
	s.wanted = append(s.wanted, asked)
	s.mu.Unlock()
	time.Sleep(s.takes)
	return found, s.err
}

func (s *slowSource) awake(int) (bool, error) {
	s.awakes++
	return true, nil
}
func (s *slowSource) signals(int) (SignalMasks, error) { return SignalMasks{}, os.ErrNotExist }
func (s *slowSource) fds(int) (FDs, error)             { return nil, os.ErrPermission }

func (s *slowSource) machine() (threads, last int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.threads, s.last
}

func (s *slowSource) count(string, int) (processes, threads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts++
	return s.crowd.Processes, s.crowd.Threads
}

// becomes changes what the machine has, and how many processes and threads have come.
func (s *slowSource) becomes(threads, come int, crowd Crowd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.threads, s.crowd, s.last = threads, crowd, s.last+come
}
func (s *slowSource) reads() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.began) }
func process(pid, parent int, namespace uint64) located {
	return located{ProcessInfo{PID: pid, ParentPID: parent, State: Sleeping, Threads: 1, startTicks: uint64(pid)}, namespace}
}

// recorded returns an observer of three hosts, on which there are processes 10, 11 and
// 20; process 30 is on none, and 12, a child of 10, is in a namespace of its own.
func recorded(takes time.Duration) (o *Observer, s *slowSource, a, b, empty *Host) {
	s = &slowSource{takes: takes, processes: []located{process(10, 1, 1), process(11, 10, 1), process(12, 11, 9), process(20, 1, 2), process(30, 1, 0)}}
	o = newObserver(s, func(work func()) time.Duration {
		began := time.Now()
		work()
		return time.Since(began)
	})
	none := func() (Sockets, error) { return nil, nil }
	return o, s, o.Add(1, none), o.Add(2, none), o.Add(3, none)
}

func pids(l ProcessInfos) (numbers []int) {
	for _, info := range l {
		numbers = append(numbers, info.PID)
	}
	return numbers
}

// TestLookReadsWhatIsAskedFor: hosts that nothing asks about are left out.
func TestLookReadsWhatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, b, empty := recorded(time.Millisecond)
		began := time.Now()
		s, err := o.Look(t.Context(), Query{Processes: []*Host{a, empty}})
		require.NoError(t, err)
		assert.Equal(t, time.Millisecond, time.Since(began), "a lone caller is served at once")
		found, err := s.Processes(a)
		require.NoError(t, err)
		assert.Equal(t, []int{10, 11}, pids(found))
		found, err = s.Processes(empty)
		require.NoError(t, err)
		assert.Empty(t, found)
		_, err = s.Processes(b)
		require.ErrorIs(t, err, errNotAsked)
		_, err = s.Sockets(a)
		require.ErrorIs(t, err, errNotAsked)
		assert.Equal(t, [][]uint64{{1}}, source.wanted)
		assert.Equal(t, []int{11}, pids(s.Descendants(10)))

		s, err = o.Look(t.Context(), Query{Processes: []*Host{a}, Others: true})
		require.NoError(t, err)
		assert.Equal(t, []int{10, 11, 12, 30}, pids(s.All()))
		assert.Equal(t, []int{11, 12}, pids(s.Descendants(10)), "also those that are on no host")
	})
}

// TestSightSaysWhenItWasRead: processes and sockets are read one after the other.
func TestSightSaysWhenItWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, a, _, _ := recorded(5 * time.Millisecond)
		slow := o.Add(4, func() (Sockets, error) { time.Sleep(2 * time.Millisecond); return Sockets{}, nil })
		began := time.Now()
		var told [][2]time.Duration
		watch := func(s Sight) { told = append(told, [2]time.Duration{s.Began.Sub(began), s.Ended.Sub(began)}) }
		a.Watch(watch)
		slow.Watch(watch)
		_, err := o.Look(t.Context(), Query{Processes: []*Host{a}, Sockets: []*Host{slow}})
		require.NoError(t, err)
		assert.Equal(t, [][2]time.Duration{{0, 5 * time.Millisecond}, {5 * time.Millisecond, 7 * time.Millisecond}}, told)
	})
}

// TestOneReadServesAll who asked before it began, and none who asked later.
func TestOneReadServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, b, _ := recorded(10 * time.Millisecond)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond / 2)
				asked := time.Now()
				s, err := o.Look(t.Context(), Query{Processes: []*Host{[]*Host{a, b}[i%2]}})
				assert.NoError(t, err)
				assert.False(t, s.Began.Before(asked), "a snapshot begins after the question")
				assert.False(t, s.Began.After(time.Now()))
			})
		}
		all.Wait()
		assert.Len(t, source.began, 2, "one for the first, and one for all who came meanwhile")
	})
}

// TestBudgetHolds, however many ask and whatever a read costs: on a machine on which it
// takes two seconds of processor time, too, and reads go on there.
func TestBudgetHolds(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second} {
		t.Run(takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, source, a, _, _ := recorded(takes)
				const long = 30 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						for ctx.Err() == nil {
							_, _ = o.Look(ctx, Query{Processes: []*Host{a}})
						}
					})
				}
				all.Wait()
				spent := time.Duration(source.reads()) * takes
				assert.LessOrEqual(t, spent, long/4+takes, "a quarter of a processor")
				assert.Greater(t, spent, long/10, "and it does not stand still")
				for i, began := range source.began {
					inSecond := time.Duration(0)
					for _, other := range source.began[i:] {
						if other.Sub(began) < time.Second {
							inSecond += takes
						}
					}
					assert.LessOrEqual(t, inSecond, max(time.Second/4, takes), "within one second")
				}
			})
		})
	}
}

// TestWaitersLookTogether although they began at any time, and cost little then.
func TestWaitersLookTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, b, empty := recorded(3 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var all sync.WaitGroup
		looks := make([]int, 50)
		for i := range looks {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 777 * time.Microsecond)
				w := o.NewWaiter(Query{Processes: []*Host{[]*Host{a, b, empty}[i%3]}})
				for ctx.Err() == nil {
					if _, err := w.Next(ctx); err == nil {
						looks[i]++
					}
				}
			})
		}
		all.Wait()
		for _, n := range looks {
			assert.Greater(t, n, 100)
		}
		share := (time.Duration(source.reads()) * source.takes).Seconds() / 20
		assert.Less(t, share, 0.06)
		last := source.wanted[len(source.wanted)-1]
		assert.Equal(t, []uint64{1, 2}, last, "all in one read")
	})
}

// TestWaiterLooksOftenAtFirst and where reads cost little.
func TestWaiterLooksOftenAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, _, _ := recorded(10 * time.Microsecond)
		w := o.NewWaiter(Query{Processes: []*Host{a}})
		began := time.Now()
		for range 30 {
			_, err := w.Next(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, began, source.began[0], "the first look is at once")
		assert.Less(t, source.began[1].Sub(began), time.Millisecond)
		assert.Less(t, time.Since(began), 30*shortestPause)
		assert.GreaterOrEqual(t, source.began[29].Sub(source.began[28]), shortestPause)
	})
}

func TestLookEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, _, _ := recorded(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := o.Look(ctx, Query{Processes: []*Host{a}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = o.Look(ctx, Query{Processes: []*Host{a}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = o.Look(t.Context(), Query{Processes: []*Host{a}})
		require.NoError(t, err)
		assert.Len(t, source.began, 2, "nothing is read for one who has gone")
	})
}

func TestErrorsOfReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, b, _ := recorded(0)
		broken := errors.New("no /proc")
		source.err = broken
		_, err := o.Look(t.Context(), Query{Processes: []*Host{a}})
		require.ErrorIs(t, err, broken)
		source.err = nil

		noSockets := o.Add(4, func() (Sockets, error) { return nil, broken })
		s, err := o.Look(t.Context(), Query{Sockets: []*Host{b, noSockets}})
		require.NoError(t, err, "it is about one host alone")
		_, err = s.Sockets(noSockets)
		require.ErrorIs(t, err, broken)
		_, err = s.Sockets(b)
		require.NoError(t, err)
		assert.Len(t, source.began, 1, "no process was asked about")

		o.Remove(b)
		_, err = s.Sockets(b)
		require.NoError(t, err, "what was read stays")
		s, err = o.Look(t.Context(), Query{Processes: []*Host{b}, Sockets: []*Host{b}})
		require.NoError(t, err)
		_, err = s.Sockets(b)
		require.ErrorIs(t, err, ErrRemoved)
		_, err = s.Processes(b)
		require.ErrorIs(t, err, ErrRemoved)
	})
}

// TestRemoveWaits for a read of the sockets: afterwards their descriptor is closed.
func TestRemoveWaits(t *testing.T) {
	o, _, _, _, _ := recorded(0)
	reading, goOn := make(chan bool), make(chan bool)
	ended := false
	h := o.Add(5, func() (Sockets, error) {
		reading <- true
		<-goOn
		ended = true
		return nil, nil
	})
	go func() { _, _ = o.Look(t.Context(), Query{Sockets: []*Host{h}}) }()
	<-reading
	removed := make(chan bool)
	go func() {
		o.Remove(h)
		close(removed)
	}()
	select {
	case <-removed:
		t.Fatal("it did not wait")
	case goOn <- true:
	}
	<-removed
	assert.True(t, ended)
}

// TestDetailsAreReadOnce, and only where they are asked for.
func TestDetailsAreReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, b, _ := recorded(0)
		source.processes[3].Threads = 5
		s, err := o.Look(t.Context(), Query{Processes: []*Host{a, b}})
		require.NoError(t, err)
		calm, err := s.Processes(a)
		require.NoError(t, err)
		awake, err := s.Awake(calm)
		require.NoError(t, err)
		assert.False(t, awake)
		assert.Zero(t, source.awakes, "the one thread is the process")
		busy, err := s.Processes(b)
		require.NoError(t, err)
		for range 3 {
			awake, err = s.Awake(busy)
			require.NoError(t, err)
			assert.True(t, awake)
		}
		assert.Equal(t, 1, source.awakes)
		_, err = s.FDs(calm[0])
		require.ErrorIs(t, err, os.ErrPermission)
		takes, err := s.WillTake(calm[0], 17)
		require.NoError(t, err, "one that has ended takes nothing")
		assert.False(t, takes)

		calm[0].PID = 99
		again, err := s.Processes(a)
		require.NoError(t, err)
		assert.Equal(t, 10, again[0].PID, "a list is the caller's own")
	})
}

// TestCrowdIsGuarded also while reads cost all of the budget.
func TestCrowdIsGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, source, a, _, _ := recorded(10 * time.Second)
		go func() { _, _ = o.Look(t.Context(), Query{Processes: []*Host{a}}) }()
		exceeded := make(chan Crowd, 2)
		stop := o.GuardCrowd("/proc/7/root/proc", Crowd{Processes: 100, Threads: 200}, func(now Crowd) { exceeded <- now })
		defer stop()
		time.Sleep(time.Second)
		crowd := Crowd{Processes: 50, Threads: 500}
		source.becomes(100, 400, crowd)
		time.Sleep(time.Second)
		assert.Empty(t, exceeded, "the machine has too few threads for that")
		few := Crowd{Processes: 50, Threads: 150}
		source.becomes(101, 0, few)
		time.Sleep(time.Second)
		source.becomes(101, 50, few)
		time.Sleep(time.Second)
		assert.Equal(t, 1, source.counts, "not more than 50 have come since")
		source.becomes(101, 1, crowd)
		began := time.Now()
		assert.Equal(t, crowd, <-exceeded)
		assert.LessOrEqual(t, time.Since(began), betweenCounts)
		time.Sleep(time.Second)
		assert.Empty(t, exceeded, "it is told once")

		stopped := o.GuardCrowd("/proc/8/root/proc", Crowd{}, func(now Crowd) { exceeded <- now })
		stopped()
		stopped()
		time.Sleep(10 * time.Second)
		assert.Empty(t, exceeded)
		o.mu.Lock()
		defer o.mu.Unlock()
		assert.False(t, o.guarding)
		assert.False(t, o.serving)
	})
}

func TestChargedFor(t *testing.T) {
	for _, test := range []struct {
		name                  string
		wall, cpu, step, want time.Duration
	}{
		{"a fine clock", 5 * time.Millisecond, 2 * time.Millisecond, 40 * time.Nanosecond, 2 * time.Millisecond},
		{"it waited for a processor", time.Second, 2 * time.Millisecond, time.Nanosecond, 2 * time.Millisecond},
		{"shorter than a tick", 3 * time.Millisecond, 0, tick, 3 * time.Millisecond},
		{"it was hit by a tick", 3 * time.Millisecond, tick, tick, tick},
		{"many ticks", 90 * time.Millisecond, 80 * time.Millisecond, tick, 80 * time.Millisecond},
		{"it waited between ticks", 90 * time.Millisecond, 0, tick, tick},
	} {
		assert.Equal(t, test.want, chargedFor(test.wall, test.cpu, test.step), test.name)
	}
}

// TestStepOf finds the step of a clock whose resolution the kernel gives as 1 ns.
func TestStepOf(t *testing.T) {
	for name, test := range map[string]struct {
		step, call, want time.Duration // call is how long it takes to read the clock
	}{
		"nanoseconds":           {1, 50, 50},
		"microseconds":          {time.Microsecond, 50, time.Microsecond},
		"ticks of 10 ms":        {tick, 100 * time.Microsecond, tick},
		"ticks of 4 ms":         {4 * time.Millisecond, time.Microsecond, 4 * time.Millisecond},
		"a clock that is stuck": {time.Hour, time.Microsecond, tick},
	} {
		now := time.Duration(0)
		step := stepOf(func() (time.Duration, error) {
			now += test.call
			return now.Truncate(test.step), nil
		}, func() time.Duration { return now })
		assert.Equal(t, test.want, step, name)
	}
	step := stepOf(func() (time.Duration, error) { return 0, os.ErrInvalid }, func() time.Duration { return 0 })
	assert.Equal(t, tick, step)
}
