// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// recording is a sequence of looks at a server with one worker, each of which begins
// as a copy of the one before.
type recording struct {
	now  Activity
	q    Quiescence
	last Stillness
}

func newRecording() *recording {
	r := &recording{now: Activity{At: time.Unix(1000, 0)}}
	r.now.Processes = ProcessInfos{
		{PID: 10, ParentPID: 1, Name: "server", State: Sleeping, Threads: 1, CPUTime: 30 * time.Millisecond, startTicks: 100},
		{PID: 11, ParentPID: 10, Name: "worker", State: Sleeping, Threads: 1, CPUTime: 10 * time.Millisecond, startTicks: 120},
	}
	r.now.Sockets = Sockets{
		{State: Listening, Local: netip.MustParseAddrPort("10.0.1.1:7"), Inode: 5},
		{State: Established, Local: netip.MustParseAddrPort("10.0.1.1:7"), Remote: netip.MustParseAddrPort("10.0.1.2:40000"), Inode: 6},
	}
	r.last = r.q.See(r.now)
	return r
}

// see looks after a time, at what change makes of what was seen before.
func (r *recording) see(after time.Duration, change func(*Activity)) Stillness {
	r.now.Processes, r.now.Sockets = slices.Clone(r.now.Processes), slices.Clone(r.now.Sockets)
	r.now.At = r.now.At.Add(after)
	r.now.Awake = false
	if change != nil {
		change(&r.now)
	}
	r.last = r.q.See(r.now)
	return r.last
}

func TestQuiescence(t *testing.T) {
	r := newRecording()
	assert.Equal(t, Stillness{}, r.last, "at the first look everything is new")
	for range 3 {
		assert.Equal(t, Still, r.see(30*time.Millisecond, nil).State, "for a moment nothing has happened")
	}
	s := r.see(30*time.Millisecond, nil)
	assert.Equal(t, Stillness{State: Quiescent, Quiet: 120 * time.Millisecond, Clock: 120 * time.Millisecond, Asleep: 4}, s)

	s = r.see(30*time.Millisecond, func(a *Activity) { a.Awake = true })
	assert.Equal(t, Stillness{State: Active, Clock: 150 * time.Millisecond, Since: 150 * time.Millisecond, Asleep: 4}, s)
	assert.Equal(t, Still, r.see(time.Second, nil).State, "one look is not enough, however late it is")
	assert.Equal(t, Still, r.see(time.Millisecond, nil).State)
	assert.Equal(t, Quiescent, r.see(time.Millisecond, nil).State)
}

// TestWhatHappens: each of these ends a rest, and the results among them end the
// count of fruitless processor time.
func TestWhatHappens(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Activity)
		result bool
	}{
		"a process comes": {func(a *Activity) {
			a.Processes = append(a.Processes, ProcessInfo{PID: 12, State: Sleeping, startTicks: 150})
		}, true},
		"a process ends":               {func(a *Activity) { a.Processes[1].State = Zombie }, true},
		"a process is reaped":          {func(a *Activity) { a.Processes = a.Processes[:1] }, true},
		"another one has its number":   {func(a *Activity) { a.Processes[1].startTicks = 121 }, true},
		"processor time is used":       {func(a *Activity) { a.Processes[1].CPUTime += 10 * time.Millisecond }, false},
		"a thread runs":                {func(a *Activity) { a.Awake = true }, false},
		"the caller knows of an event": {func(a *Activity) { a.Events++ }, false},
		"a socket comes":               {func(a *Activity) { a.Sockets = append(a.Sockets, Socket{State: TimeWait}) }, true},
		"a socket goes":                {func(a *Activity) { a.Sockets = a.Sockets[:1] }, true},
		"a socket changes its state":   {func(a *Activity) { a.Sockets[1].State = CloseWait }, true},
		"bytes arrive":                 {func(a *Activity) { a.Sockets[1].RecvQueue = 5 }, true},
		"bytes are acknowledged":       {func(a *Activity) { a.Sockets[1].SendQueue = 9 }, true},
		"a connection is accepted":     {func(a *Activity) { a.Sockets[1].Inode = 7 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording()
			r.see(50*time.Millisecond, func(a *Activity) { a.Processes[0].CPUTime += 70 * time.Millisecond })
			for range 4 {
				r.see(50*time.Millisecond, nil)
			}
			assert.Equal(t, Quiescent, r.last.State)
			assert.Equal(t, 70*time.Millisecond, r.last.Fruitless)
			s := r.see(50*time.Millisecond, test.change)
			assert.Equal(t, Active, s.State)
			assert.Zero(t, s.Quiet)
			assert.Zero(t, s.Clock-s.Since)
			assert.Equal(t, test.result, s.Fruitless == 0, "%v of processor time without a result", s.Fruitless)
			assert.Equal(t, test.result, s.Result == s.Clock)
			assert.Equal(t, test.result, s.Asleep == 0, "asleep at %d looks", s.Asleep)
		})
	}
}

// TestWhatIsNoEvent: timers run, and processes grow old, where nothing happens.
func TestWhatIsNoEvent(t *testing.T) {
	r := newRecording()
	for range 5 {
		r.see(50*time.Millisecond, func(a *Activity) {
			a.Sockets[1].Timer, a.Sockets[1].TimerLeft = TimerKeepAlive, a.Sockets[1].TimerLeft+1
			a.Sockets[1].Retransmits++
			a.Processes[0].Age += 50 * time.Millisecond
			a.Processes[1].State = Stopped
		})
	}
	assert.Equal(t, Quiescent, r.last.State)
}

// TestTimeWithoutLooksDoesNotCount on the clock of watching: on a busy machine
// the process that looks may itself wait for a processor.
func TestTimeWithoutLooksDoesNotCount(t *testing.T) {
	r := newRecording()
	r.see(100*time.Millisecond, nil)
	s := r.see(20*time.Second, nil)
	assert.Equal(t, 20100*time.Millisecond, s.Quiet)
	assert.Equal(t, 100*time.Millisecond+MaxGap, s.Clock-s.Since)
	s = r.see(200*time.Millisecond, nil)
	assert.Equal(t, 300*time.Millisecond+MaxGap, s.Clock-s.Since)
}

// TestBusyLoop: it never comes to rest, and all its processor time is fruitless.
func TestBusyLoop(t *testing.T) {
	r := newRecording()
	for range 250 {
		r.see(10*time.Millisecond, func(a *Activity) { a.Processes[1].CPUTime += 10 * time.Millisecond; a.Awake = true })
		assert.Equal(t, Active, r.last.State)
	}
	assert.Greater(t, r.last.Fruitless, FruitlessLimit)
}

func TestQuiescenceStateNames(t *testing.T) {
	assert.Equal(t, []string{"active", "still", "quiescent"}, []string{Active.String(), Still.String(), Quiescent.String()})
}
