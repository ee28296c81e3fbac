// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// recordedStat is a line of /proc/PID/stat as Linux 6.18 wrote it.
func recordedStat(pid int, name string, state byte, parent, ticks, threads, start int) string {
	return fmt.Sprintf("%d (%s) %c %d 123 123 0 -1 4194560 95 0 0 0 %d 2 0 0 20 0 %d 0 %d 2994176 384 18446744073709551615 "+
		"94371 94383 140721 0 0 0 0 4096 65536 0 0 0 17 1 0 0 0 0 0 94389 94391 94402 140733 140751 140751 140799 0\n",
		pid, name, state, parent, ticks, threads, start)
}

func TestParseStat(t *testing.T) {
	for _, name := range []string{"server", "a b", "", "x) R 1 (y", ")(", "\n", "()"} {
		info, err := parseStat([]byte(recordedStat(77, name, 'S', 9, 8, 3, 4711)))
		require.NoError(t, err, name)
		assert.Equal(t, ProcessInfo{PID: 77, ParentPID: 9, Name: name, State: Sleeping, Threads: 3,
			CPUTime: 100 * time.Millisecond, startTicks: 4711}, info)
	}
	whole := recordedStat(77, "server", 'S', 9, 8, 3, 4711)
	for _, line := range []string{"", "77", "77 (server", "77 (server)", "77 (server) ", "(server) S 1", "x (server) S 1",
		strings.Replace(whole, " S ", " SS ", 1), strings.Replace(whole, " 9 ", " -9 ", 1),
		strings.Replace(whole, " 4711 ", " 99999999999999999999 ", 1), whole[:60]} {
		_, err := parseStat([]byte(line))
		assert.ErrorContains(t, err, "parse the state", line)
	}
}

// TestParseStatReadsAsTheLibraryDoes: what is parsed by hand says the same.
func TestParseStatReadsAsTheLibraryDoes(t *testing.T) {
	proc, err := procfs.Self()
	require.NoError(t, err)
	want, err := proc.Stat()
	require.NoError(t, err)
	got, err := ReadProcess(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, []any{want.PID, want.PPID, want.Comm, want.Starttime}, []any{got.PID, got.ParentPID, got.Name, got.startTicks})
	assert.GreaterOrEqual(t, got.CPUTime, time.Duration(want.UTime+want.STime)*time.Second/ticksPerSecond)
	assert.Positive(t, got.Age)
	assert.Less(t, got.Age, time.Hour)
	_, err = ReadProcess(math.MaxInt32)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestScheduling is read as the library does.
func TestScheduling(t *testing.T) {
	self := os.Getpid()
	proc, err := procfs.NewProc(self)
	require.NoError(t, err)
	threads, err := ReadThreads(self)
	require.NoError(t, err)
	assert.True(t, slices.IsSortedFunc(threads, func(a, b ThreadUse) int { return cmp.Compare(a.TID, b.TID) }))
	at := slices.IndexFunc(threads, func(u ThreadUse) bool { return u.TID == self })
	require.GreaterOrEqual(t, at, 0, "the first thread, %d, among %v", self, threads)
	status, err := proc.NewStatus()
	require.NoError(t, err)
	assert.LessOrEqual(t, threads[at].Sleeps, status.VoluntaryCtxtSwitches)
	statistics, err := proc.Schedstat()
	require.NoError(t, err)
	assert.LessOrEqual(t, threads[at].Running, time.Duration(statistics.RunningNanoseconds))
	assert.LessOrEqual(t, threads[at].Waiting, time.Duration(statistics.WaitingNanoseconds))

	sleeps, err := ReadWakeups(self)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, sleeps, threads[at].Sleeps)
	running, waiting, err := ReadScheduled(self)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, running, threads[at].Running)
	assert.GreaterOrEqual(t, waiting, threads[at].Waiting)
	_, err = ReadWakeups(math.MaxInt32)
	require.ErrorIs(t, err, os.ErrNotExist)

	_, err = StatusField([]byte("Name:\tx\nnonvoluntary_ctxt_switches:\t7\n"), "voluntary_ctxt_switches")
	require.ErrorContains(t, err, "there is no field voluntary_ctxt_switches")
	_, _, err = parseScheduled("12")
	require.ErrorContains(t, err, "parse the scheduling")
}

// TestProcessWithoutItsFirstThreadIsNoZombie: the kernel says Z of it, too.
func TestProcessWithoutItsFirstThreadIsNoZombie(t *testing.T) {
	p := newRecordedProc(t)
	p.process(7, 'Z', 1, 1, 0)
	p.process(8, 'S', 1, 1, 5)
	p.write("8/stat", recordedStat(8, "x", 'Z', 1, 1, 3, 1))
	p.write("8/task/8/stat", recordedStat(8, "x", 'Z', 1, 1, 3, 1))
	p.write("8/task/9/stat", recordedStat(9, "x", 'S', 1, 1, 3, 1))
	require.NoError(t, os.MkdirAll(filepath.Join(p.root, "8/task/9/ns"), 0o755))
	require.NoError(t, os.Rename(filepath.Join(p.root, "8/ns/net"), filepath.Join(p.root, "8/task/9/ns/net")))
	source := newProcSource(p.root, 4)
	all, err := source.read(time.Now(), func(uint64) bool { return true }, isHost)
	require.NoError(t, err)
	states := map[int]ProcessState{}
	for _, l := range all {
		states[l.PID] = l.State
		assert.Equal(t, map[int]uint64{7: 0, 8: 5}[l.PID], l.namespace, "%d", l.PID)
	}
	assert.Equal(t, map[int]ProcessState{7: Zombie, 8: LeaderEnded}, states)
	awake, err := source.awake(8)
	require.NoError(t, err)
	assert.False(t, awake)
	p.write("8/task/9/stat", recordedStat(9, "x", 'R', 1, 1, 3, 1))
	awake, err = source.awake(8)
	require.NoError(t, err)
	assert.True(t, awake, "a thread that lives runs")
}

// TestProcessInANamespaceOfItsOwn belongs to the host of its parent, or of the parent that it
// had.
func TestProcessInANamespaceOfItsOwn(t *testing.T) {
	p, now := newRecordedProc(t), time.Now()
	p.process(10, 'S', 1, 1, 100)
	p.process(11, 'S', 10, 1, 1000)
	p.process(12, 'S', 11, 1, 1001)
	p.process(13, 'S', 1, 1, 1002)
	s := newProcSource(p.root, 4)
	assert.Equal(t, []string{"10@100", "11@100", "12@100"}, p.read(s, now, 100))
	p.process(12, 'S', 1, 1, 1001)
	assert.Equal(t, []string{"10@100", "11@100", "12@100"}, p.read(s, now.Add(2*placedFor), 100))
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(recordedStat(77, "server", 'S', 9, 8, 3, 4711)))
	f.Add([]byte("1 () R"))
	f.Add([]byte("1 (a) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"))
	f.Fuzz(func(t *testing.T, line []byte) {
		info, err := parseStat(line)
		switch {
		case err != nil && info != (ProcessInfo{}):
			t.Errorf("%+v with error %v", info, err)
		case err == nil && !strings.Contains(string(line), "("+info.Name+")"):
			t.Errorf("%q has the name %q", line, info.Name)
		case err == nil && (info.CPUTime < 0 && len(line) < 100 || info.PID < 0):
			t.Errorf("%q became %+v", line, info)
		}
	})
}

// recordedProc is a directory like /proc.
type recordedProc struct {
	t    *testing.T
	root string
}

func newRecordedProc(t *testing.T) *recordedProc {
	p := &recordedProc{t, t.TempDir()}
	p.write("loadavg", "0.04 3.41 9.80 2/98 15749\n")
	p.write("self/stat", "no process")
	return p
}

func (p *recordedProc) write(name, text string) {
	path := filepath.Join(p.root, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(p.t, os.WriteFile(path, []byte(text), 0o644))
}

// isHost says which namespaces are hosts.
func isHost(namespace uint64) bool { return namespace >= 100 && namespace < 1000 }

// process records a process with one thread. A namespace of 0 is none.
func (p *recordedProc) process(pid int, state byte, parent, start int, namespace uint64) {
	p.write(fmt.Sprintf("%d/stat", pid), recordedStat(pid, "x", state, parent, 1, 1, start))
	link := filepath.Join(p.root, fmt.Sprint(pid), "ns", "net")
	require.NoError(p.t, os.MkdirAll(filepath.Dir(link), 0o755))
	_ = os.Remove(link)
	if namespace != 0 {
		require.NoError(p.t, os.Symlink(fmt.Sprintf("net:[%d]", namespace), link))
	}
}

func (p *recordedProc) remove(pid int) {
	require.NoError(p.t, os.RemoveAll(filepath.Join(p.root, fmt.Sprint(pid))))
}

// read returns "pid@namespace" of each process.
func (p *recordedProc) read(s *procSource, now time.Time, wanted ...uint64) (found []string) {
	p.t.Helper()
	all, err := s.read(now, func(namespace uint64) bool {
		for _, w := range wanted {
			if w == namespace {
				return true
			}
		}
		return false
	}, isHost)
	require.NoError(p.t, err)
	for _, l := range all {
		found = append(found, fmt.Sprintf("%d@%d", l.PID, l.namespace))
	}
	return found
}

func TestSourceReadsProcessesWhereTheyAre(t *testing.T) {
	p := newRecordedProc(t)
	const own = 2
	p.process(1, 'S', 0, 1, 5)
	p.process(own, 'S', 1, 2, 100) // its first thread is on a host at this moment
	p.process(10, 'S', 1, 10, 100)
	p.process(11, 'Z', 10, 11, 0)
	p.process(12, 'Z', 11, 12, 0)  // a zombie's zombie
	p.process(13, 'Z', own, 13, 0) // of the rig itself
	p.process(20, 'R', 1, 20, 200)
	s := newProcSource(p.root, own)
	now := time.Unix(1000, 0)
	assert.Equal(t, []string{"10@100", "11@100"}, p.read(s, now, 100))
	assert.Equal(t, []string{"1@5", "2@0", "10@100", "11@100", "12@0", "13@0", "20@200"}, p.read(s, now, 0, 5, 100, 200))

	// A process that ended, one that came, and another one with an old number.
	p.process(10, 'Z', 1, 10, 0)
	p.remove(11)
	p.process(14, 'S', 1, 30, 100)
	p.process(20, 'S', 1, 31, 100)
	assert.Equal(t, []string{"14@100", "20@100"}, p.read(s, now, 100, 200), "its parent is on no host")
	_, known := s.known[11]
	assert.False(t, known, "one that is gone is forgotten")
}

// TestSourceTrustsPlacesForASecond: that long, other hosts are not read at all.
func TestSourceTrustsPlacesForASecond(t *testing.T) {
	p := newRecordedProc(t)
	p.process(10, 'S', 1, 10, 100)
	p.process(20, 'S', 1, 20, 200)
	s := newProcSource(p.root, 2)
	now := time.Unix(1000, 0)
	assert.Equal(t, []string{"10@100"}, p.read(s, now, 100))
	p.write("20/stat", "which is not read")
	assert.Equal(t, []string{"10@100"}, p.read(s, now.Add(placedFor-1), 100))
	p.process(20, 'S', 1, 20, 100) // it moves
	assert.Equal(t, []string{"10@100"}, p.read(s, now.Add(placedFor-1), 100))
	assert.Equal(t, []string{"10@100", "20@100"}, p.read(s, now.Add(placedFor), 100))
}

func TestSourceKnowsForHowLongZombiesAre(t *testing.T) {
	p := newRecordedProc(t)
	p.process(10, 'S', 1, 10, 100)
	p.process(11, 'Z', 10, 11, 0)
	s := newProcSource(p.root, 2)
	now := time.Unix(1000, 0)
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second} {
		all, err := s.read(now.Add(after), func(uint64) bool { return true }, isHost)
		require.NoError(t, err)
		assert.Zero(t, all[0].ZombieFor)
		assert.Equal(t, after, all[1].ZombieFor)
	}
	p.process(11, 'Z', 10, 50, 0) // another one
	all, err := s.read(now.Add(6*time.Second), func(uint64) bool { return true }, isHost)
	require.NoError(t, err)
	assert.Zero(t, all[1].ZombieFor)
}

func TestSourceSaysWhatItCannotRead(t *testing.T) {
	p := newRecordedProc(t)
	p.process(10, 'S', 1, 10, 100)
	require.NoError(t, os.MkdirAll(filepath.Join(p.root, "11"), 0o755)) // it ended between listing and reading
	s := newProcSource(p.root, 2)
	assert.Equal(t, []string{"10@100"}, p.read(s, time.Now(), 100))
	p.write("11/stat", "nonsense")
	_, err := s.read(time.Now(), func(uint64) bool { return true }, isHost)
	require.ErrorContains(t, err, "read process 11: parse the state")
	_, err = newProcSource(filepath.Join(p.root, "nowhere"), 2).read(time.Now(), func(uint64) bool { return true }, isHost)
	require.ErrorContains(t, err, "list processes")
}

func TestSourceReadsThreads(t *testing.T) {
	p := newRecordedProc(t)
	s := newProcSource(p.root, 2)
	p.write("10/task/10/stat", recordedStat(10, "x", 'S', 1, 1, 2, 10))
	p.write("10/task/12/stat", recordedStat(12, "x", 'S', 1, 1, 2, 10))
	require.NoError(t, os.MkdirAll(filepath.Join(p.root, "10/task/13"), 0o755)) // it has ended
	for state, awake := range map[byte]bool{'S': false, 'R': true, 'D': true, 'T': false, 'Z': false} {
		p.write("10/task/12/stat", recordedStat(12, "x", state, 1, 1, 2, 10))
		got, err := s.awake(10)
		require.NoError(t, err)
		assert.Equal(t, awake, got, string(state))
	}
	_, err := s.awake(11)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseMachine(t *testing.T) {
	for line, want := range map[string][2]int{"0.04 3.41 9.80 2/98 15749\n": {98, 15749},
		"": {math.MaxInt, 0}, "1 2 3 x": {math.MaxInt, 0}, "1 2 3 4": {math.MaxInt, 0}} {
		threads, last := parseMachine(line)
		assert.Equal(t, want, [2]int{threads, last}, line)
	}
	threads, _ := newProcSource(newRecordedProc(t).root, 2).machine()
	assert.Equal(t, 98, threads)
	threads, _ = newProcSource(t.TempDir(), 2).machine()
	assert.Equal(t, math.MaxInt, threads)
}

// TestThreadThatWaitsForRoomGoesOn by itself when there is some; one that waits for bytes does not.
func TestThreadThatWaitsForRoomGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		wait  func(read, write int) error // in the kernel
		end   func(read, write int) error // of that wait
		wants bool
	}{
		"write": {func(_, write int) error { _, err := unix.Write(write, make([]byte, 1<<20)); return err },
			func(read, _ int) error { return unix.Close(read) }, true},
		"read": {func(read, _ int) error { _, err := unix.Read(read, make([]byte, 1)); return err },
			func(_, write int) error { return unix.Close(write) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var pipe [2]int
			require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
			tid, ended := make(chan int, 1), make(chan error, 1)
			go func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				tid <- unix.Gettid()
				ended <- test.wait(pipe[0], pipe[1])
			}()
			waiter := <-tid
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", waiter))
				b, _ := parseBlocked(string(text))
				return err == nil && b.name == name
			}, time.Minute, time.Millisecond, "it waits")
			threads, err := ReadThreads(os.Getpid())
			require.NoError(t, err)
			i := slices.IndexFunc(threads, func(u ThreadUse) bool { return u.TID == waiter })
			require.GreaterOrEqual(t, i, 0)
			assert.Equal(t, test.wants, threads[i].Wants)
			require.NoError(t, test.end(pipe[0], pipe[1]))
			<-ended
		})
	}
}

// TestObserverOfThisMachine reads a real process.
func TestObserverOfThisMachine(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip(err)
	}
	child := exec.Command("sleep", "1000")
	require.NoError(t, child.Start())
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	o := New()
	w := o.NewWaiter(Query{Others: true})
	var found ProcessInfos
	for deadline := time.Now().Add(time.Minute); len(found) == 0 && time.Now().Before(deadline); {
		s, err := w.Next(t.Context())
		require.NoError(t, err)
		found = s.Descendants(os.Getpid()).Where(func(i ProcessInfo) bool { return i.PID == child.Process.Pid && i.State == Sleeping })
		if len(found) > 0 {
			awake, err := s.Awake(found)
			require.NoError(t, err)
			assert.False(t, awake)
			fds, err := s.FDs(found[0])
			require.NoError(t, err)
			assert.GreaterOrEqual(t, len(fds), 3)
		}
	}
	require.Len(t, found, 1, "the child")
	assert.NotZero(t, ReadNamespace(pathOf(procRoot, child.Process.Pid, "ns", "net")))
	in, all, err := ThreadsIn(child.Process.Pid, Sleeping)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1}, []int{in, all})
	assert.Less(t, ProcessorTimeStep(), 20*time.Millisecond)
	assert.Positive(t, ProcessorTimeStep())
}

// BenchmarkRead measures one read of all processes of this machine.
func BenchmarkRead(b *testing.B) {
	s := newProcSource(procRoot, os.Getpid())
	n := 0
	for b.Loop() {
		all, err := s.read(time.Now(), func(uint64) bool { return true }, isHost)
		if err != nil {
			b.Fatal(err)
		}
		n = len(all)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*max(n, 1)), "µs/process")
}
