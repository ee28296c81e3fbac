// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestOutOfDescriptors takes all descriptors from the listener, under load, until accept
// has failed several times (accept(2), EMFILE). Clients wait in the backlog and are served
// afterwards, and meanwhile the listener does not spin.
func TestOutOfDescriptors(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { outOfDescriptors(t, s, s.serve(t)) })
}

// TestOutOfDescriptorsCatches sees the story fail at a server that calls accept
// again at once.
func TestOutOfDescriptorsCatches(t *testing.T) {
	catches(t, "the listener spins while it is out of descriptors", func(tb testing.TB, s *stage) {
		outOfDescriptors(tb, s, s.serve(tb, "-defect", "spin-on-emfile"))
	})
}

func outOfDescriptors(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	const clients = 10
	before := s.load(tb, s.clients[0], clients, "-parallel", "4", "-messages", "2")
	limited := s.strike(tb, fault.Limit{Targets: []rig.Target{srv.Itself()}, Resource: rig.OpenFiles})
	after := s.load(tb, s.clients[1], clients, "-parallel", "4", "-messages", "2")
	_, err := s.host.AwaitSockets(tb.Context(), "clients that wait for accept", func(all rig.Sockets) bool {
		return len(all.In(rig.Listening)) == 1 && all.In(rig.Listening)[0].RecvQueue > 0
	})
	require.NoError(tb, err)
	srv.failsToAccept(tb)
	heal(tb, limited)

	failed := report(tb, before).Failed() + report(tb, after).Failed()
	everythingReaped(tb, srv, 2*clients)
	counts := srv.stop(tb)
	assert.Positive(tb, counts.AcceptErrors, "broken: no accept failed")
	// The accept that waited had its descriptor already, but there was none for
	// the pipe by which an executed worker reports its start.
	assert.EqualValues(tb, counts.ForkFailures, failed, "clients not served, but for those without a worker")
	assert.LessOrEqual(tb, failed, 1)
}

// failsToAccept waits until the log tells of several errors of accept. It fails where the
// listener spins: it uses the processor without a pause and tells nothing.
func (srv *server) failsToAccept(tb testing.TB) {
	tb.Helper()
	const several, spent = 4, 300 * time.Millisecond // of processor time, of which an error takes less than one
	before, err := srv.Info()
	require.NoError(tb, err)
	used := time.Duration(0)
	spins := false
	require.NoError(tb, rig.Await(tb.Context(), "errors of accept", func() (bool, string, error) {
		now, err := srv.Info()
		told := len(srv.events("accept-error"))
		used = now.CPUTime - before.CPUTime
		spins = used > rig.Scaled(spent)
		return spins || told >= several, fmt.Sprintf("%d, and %v of processor time", told, used), err
	}))
	require.False(tb, spins, "the listener spins while it is out of descriptors: it used %v of processor time", used)
}

// TestForkRefused lets the kernel refuse every fork, under load (fork(2), EAGAIN;
// setrlimit(2), RLIMIT_NPROC). Each client that gets no worker is told, and afterwards all
// are served.
func TestForkRefused(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { forkRefused(t, s, s.serveLimited(t)) })
}

// TestForkRefusedCatches sees the story fail at a server that a failed fork ends.
func TestForkRefusedCatches(t *testing.T) {
	catches(t, "a refused fork ended the server", func(tb testing.TB, s *stage) {
		forkRefused(tb, s, s.serveLimited(tb, "-defect", "exit-on-fork-failure"))
	})
}

// serveLimited starts a server whose processes the kernel limits, which it does
// not do for the machine's root.
func (s *stage) serveLimited(tb testing.TB, args ...string) *server {
	tb.Helper()
	command := rig.Program("server", s.serverArgs(s.address, args...)...)
	if !rig.Rootless() {
		command.User = "65534"
	} else if os.Getuid() == 0 && rootOfTheMachine() {
		tb.Skip("the kernel does not limit the processes of the machine's root, and this sandbox has no other user")
	}
	p, err := s.host.Start(command)
	rig.SkipIfMissing(tb, err)
	return s.listening(tb, p, s.address.Port())
}

// rootOfTheMachine says whether root of the sandbox is root outside as well.
func rootOfTheMachine() bool {
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(uidMap))
	return err == nil && len(fields) == 3 && fields[1] == "0"
}

func forkRefused(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	const refused, served = 10, 5
	limited := s.strike(tb, fault.Limit{Targets: []rig.Target{srv.Itself()}, Resource: rig.UserProcesses})
	r := report(tb, s.load(tb, s.clients[0], refused, "-parallel", "5"))
	assert.Zero(tb, r.TimedOut, "a client that gets no worker is told")
	if r.Refused > 0 && endsSoon(tb, srv.Process) {
		require.Fail(tb, "a refused fork ended the server", "observed: %v", srv.Stderr.Last(2))
	}
	require.Equal(tb, refused, r.Failed(), "broken: a client got a worker although fork was refused")
	heal(tb, limited)

	allServed(tb, s.load(tb, s.clients[1], served, "-parallel", "4", "-messages", "2"))
	everythingReaped(tb, srv, served)
	counts := srv.stop(tb)
	assert.EqualValues(tb, refused, counts.ForkFailures)
	assert.EqualValues(tb, served, counts.Reaped)
}

// TestMaxWorkers reaches the limit on workers and leaves it again, three times. Clients
// that come meanwhile wait in the backlog (listen(2)) and are served as soon as there is room.
func TestMaxWorkers(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		srv := s.serve(t, "-max-workers", strconv.Itoa(maxWorkerCount))
		const rounds = 3
		for round := range rounds {
			maxWorkers(t, s, srv)
			everythingReaped(t, srv, (round+1)*2*maxWorkerCount)
		}
		assert.EqualValues(t, rounds*2*maxWorkerCount, srv.stop(t).Reaped)
		assert.GreaterOrEqual(t, len(srv.events("at-limit")), rounds)
	})
}

const maxWorkerCount = 3

// TestMaxWorkersCatches sees the story fail at a server without that limit.
func TestMaxWorkersCatches(t *testing.T) {
	catches(t, "more workers than -max-workers", func(tb testing.TB, s *stage) { maxWorkers(tb, s, s.serve(tb)) })
}

func maxWorkers(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	first := s.load(tb, s.clients[0], maxWorkerCount, "-hold")
	holding(tb, first)
	second := s.load(tb, s.clients[1], maxWorkerCount, "-parallel", strconv.Itoa(maxWorkerCount), "-messages", "2")
	var alive rig.ProcessInfos
	_, err := s.host.AwaitSockets(tb.Context(), "clients in the backlog, or too many workers", func(all rig.Sockets) bool {
		waiting := func(all rig.Sockets) bool {
			listener := all.In(rig.Listening)
			return len(listener) == 1 && listener[0].RecvQueue == maxWorkerCount
		}
		// A listener that sleeps while clients wait, before it was looked at and afterwards,
		// does not accept.
		info, infoErr := srv.Info()
		after, afterErr := s.host.Sockets()
		workers, err := srv.Descendants()
		alive = workers.Alive()
		return err == nil && len(alive) > maxWorkerCount || !second.Running() || errors.Join(infoErr, afterErr) == nil &&
			info.State == rig.Sleeping && waiting(all) && waiting(after)
	})
	require.NoError(tb, err)
	require.LessOrEqual(tb, len(alive), maxWorkerCount, "more workers than -max-workers: %v", alive)
	require.True(tb, second.Running(), "more workers than -max-workers, or clients that did not wait for one: %v; workers: %v",
		second.Stdout.Last(1), alive)
	require.NoError(tb, first.Stdin.Close()) // they leave
	ends(tb, first, 0)
	allServed(tb, second)
}

// TestFullDisk fills the disk that the server's log is on, while clients converse
// (write(2), ENOSPC). They are served all the same, and the log says afterwards what it
// lacks.
func TestFullDisk(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		disk := s.lab.NewDisk(1 << 20)
		srv, log := s.serveLoggingTo(t, disk)
		logCannotBeWritten(t, s, srv, log, fault.FullDisk{Disk: disk})
	})
}

// TestFileSizeLimit lets the server's log become no longer, while clients converse
// (setrlimit(2), RLIMIT_FSIZE; write(2), EFBIG).
func TestFileSizeLimit(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		srv, log := s.serveLoggingTo(t, s.lab.NewDisk(1<<20))
		logCannotBeWritten(t, s, srv, log, fault.Limit{Targets: []rig.Target{srv.Itself()}, Resource: rig.FileSize})
	})
}

// TestLogOnADiskCatches sees both stories fail at a server that dies of its log.
func TestLogOnADiskCatches(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*server, *rig.Disk) fault.Fault{
		"full disk": func(_ *server, disk *rig.Disk) fault.Fault { return fault.FullDisk{Disk: disk} },
		"file size": func(srv *server, _ *rig.Disk) fault.Fault {
			return fault.Limit{Targets: []rig.Target{srv.Itself()}, Resource: rig.FileSize}
		},
	} {
		t.Run(name, func(t *testing.T) {
			catches(t, "a log that cannot be written ended the server", func(tb testing.TB, s *stage) {
				disk := s.lab.NewDisk(1 << 20)
				srv, log := s.serveLoggingTo(tb, disk, "-defect", "dies-of-log")
				logCannotBeWritten(tb, s, srv, log, stop(srv, disk))
			})
		})
	}
}

// serveLoggingTo starts a server whose log is a file on the disk.
func (s *stage) serveLoggingTo(tb testing.TB, disk *rig.Disk, args ...string) (srv *server, log string) {
	tb.Helper()
	log = filepath.Join(disk.Path, "log")
	command := rig.Program("server", s.serverArgs(s.address, args...)...)
	command.StderrTo = log
	p := s.host.MustStart(command)
	listener, err := s.host.AwaitListen(tb.Context(), p, s.address.Port())
	require.NoError(tb, err)
	require.NoError(tb, rig.Await(tb.Context(), "the first line of the log", func() (bool, string, error) {
		text, err := os.ReadFile(log)
		return strings.HasSuffix(string(text), "\n"), string(text), err
	}))
	srv = &server{Process: p, stage: s, listener: listener}
	srv.baseline, err = p.FDs()
	require.NoError(tb, err)
	return srv, log
}

func logCannotBeWritten(tb testing.TB, s *stage, srv *server, log string, f fault.Fault) {
	tb.Helper()
	const clients = 30 // whose lines are more than the last page of the log has room for
	broken, err := fault.Apply(tb.Context(), s.lab, f)
	require.NoError(tb, err)
	healed := false
	defer func() { // it may end at any line: while it serves, or when it reaps
		if tb.Failed() && !healed && endsSoon(tb, srv.Process) {
			exit, err := srv.Wait(tb.Context())
			assert.NoError(tb, err)
			assert.Fail(tb, "a log that cannot be written ended the server", "observed: %v", exit)
		}
	}()
	allServed(tb, s.load(tb, s.clients[0], clients, "-parallel", "4", "-messages", "2"))
	everythingReaped(tb, srv, clients)
	healed = true
	require.NoError(tb, broken.Heal(tb.Context()))

	allServed(tb, s.load(tb, s.clients[1], 2))
	everythingReaped(tb, srv, clients+2)
	endsInOrder(tb, srv)
	text, err := os.ReadFile(log)
	require.NoError(tb, err)
	seen, lost := map[string]int{}, 0
	for line := range strings.Lines(string(text)) {
		var e struct {
			Msg   string
			Lines int
		}
		if json.Unmarshal([]byte(line), &e) == nil {
			seen[e.Msg]++
			lost += e.Lines
		}
	}
	assert.Positive(tb, lost, "broken: every line was written")
	assert.Equal(tb, 1, seen["done"])
	const events = 2 // of each client: accepted and reaped
	assert.Equal(tb, events*(clients+2), seen["accepted"]+seen["reaped"]+lost, "lines written or told to be lost; %v", seen)
}

// TestLittleMemory leaves the server hardly more memory than it has: it needs none
// for a client. A forked worker does not either; an executed one needs its own, and
// where it does not get it, its client is told. (To take all of it would end any Go
// program sooner or later.)
func TestLittleMemory(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { littleMemory(t, s, s.serve(t)) })
}

// TestLittleMemoryCatches sees the story fail at a server that needs memory for each
// client, and ends when it gets none.
func TestLittleMemoryCatches(t *testing.T) {
	catches(t, "little memory ended the server", func(tb testing.TB, s *stage) {
		littleMemory(tb, s, s.serve(tb, "-defect", "aborts-on-enomem"))
	})
}

func littleMemory(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	const room, short, after = 16 << 20, 25, 5 // clients come while memory is short, and after that
	soft := addressSpace(tb, srv.Process) + room
	limited, err := fault.Apply(tb.Context(), s.lab, fault.Limit{
		Targets: []rig.Target{srv.Itself()}, Resource: rig.Memory, Soft: soft})
	require.NoError(tb, err)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", srv.PID))
	require.NoError(tb, err)
	require.Regexp(tb, fmt.Sprintf(`(?m)^Max address space +%d `, soft), string(limits))
	r := report(tb, s.load(tb, s.clients[0], short, "-parallel", "10", "-messages", "2"))
	if r.Refused > 0 && endsSoon(tb, srv.Process) {
		require.Fail(tb, "little memory ended the server", "observed: %v", srv.Stderr.Last(2))
	}
	if s.worker == "fork" {
		require.NoError(tb, r.Err())
	}
	assert.Zero(tb, r.TimedOut+r.Refused, "who is not served is told")
	require.NoError(tb, limited.Heal(tb.Context()))
	allServed(tb, s.load(tb, s.clients[1], after, "-parallel", "4"))
	everythingReaped(tb, srv, short+after)
	assert.EqualValues(tb, short+after, srv.stop(tb).Reaped)
	// An executed worker is a Go program that may find no memory while its runtime starts.
	// It then ends with status 2, or by SIGSEGV: in Go 1.26 runtime.preemptall, which the
	// fatal error calls, may find processors that are not there yet.
	for _, e := range srv.events("reaped") {
		switch {
		case e.Status != nil && *e.Status == 0:
		case s.worker == "exec" && (e.Signal == "SIGSEGV" || e.Status != nil && *e.Status == 2):
		default:
			assert.Fail(tb, "a worker ended badly", "worker %d: status %v, signal %q", e.Worker, e.Status, e.Signal)
		}
	}
}

// addressSpace returns how many bytes of address space the process has
// (proc_pid_statm(5)).
func addressSpace(tb testing.TB, p *rig.Process) uint64 {
	tb.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	require.NoError(tb, err)
	pages, err := strconv.ParseUint(strings.Fields(string(statm))[0], 10, 64)
	require.NoError(tb, err)
	return pages * uint64(os.Getpagesize())
}
