// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/internal/cli"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// The models are echo servers without a process for each connection, as C programs have them:
// system calls that block in threads, or epoll. A flaw, the part of their name behind a dot,
// makes them wrong.
func init() {
	for model, serve := range map[string]func(*model){"threaded": (*model).serveInThreads, "loop": (*model).serveInLoop} {
		for _, flaw := range append([]string{"", "times-out", "times-out-late", "ticks"}, flaws...) {
			strangers[strings.TrimSuffix(model+"."+flaw, ".")] = func(args []string) int { return runModel(args, flaw, serve) }
		}
	}
}

var flaws = []string{"leaks", "ends-at-reset", "keeps-reset", "never-asks", "keeps-dropped", "reload-leaks", "reload-ends"}

// TestModels: the checks that need no process for each connection catch what is wrong in threads
// and event loops, and pass what is right.
func TestModels(t *testing.T) {
	t.Parallel()
	all := []string{"vanished-client", "fin-on-close", "fd-steady", "reset-survived", "reload"}
	type verdict struct {
		check, says string // of a failure; a check without words passes
	}
	for flaw, verdicts := range map[string][]verdict{
		"":               {{check: all[0]}, {check: all[1]}, {check: all[2]}, {check: all[3]}, {check: all[4]}},
		"times-out":      {{check: "vanished-client"}},
		"times-out-late": {{check: "vanished-client"}},
		"leaks":          {{"fd-steady", "has 390 more descriptors after 390 connections"}},
		"ends-at-reset":  {{"reset-survived", "a reset by an idle client ends the listener"}},
		"keeps-reset":    {{"reset-survived", "the connection is still open in"}},
		"never-asks":     {{"vanished-client", "the listener waits for it without a timeout"}},
		"keeps-dropped":  {{"fin-on-close", "sees no end of the stream: the connection is still open in"}, {"fd-steady", "390 more descriptors"}},
		"reload-leaks":   {{"reload", "descriptors"}},
		"reload-ends":    {{"reload", "ends the listener"}},
	} {
		for _, model := range []string{"threaded", "loop"} {
			for _, v := range verdicts[:fewer(len(verdicts), 1)] {
				t.Run(strings.TrimSuffix(model+"."+flaw, ".")+"/"+v.check, func(t *testing.T) {
					t.Parallel()
					result := modelCheck(t, v.check).Judge(t, modelSubject(model, flaw), rig.IPv4)
					if v.says == "" {
						passes(t, result)
						return
					}
					assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
					assert.Contains(t, result.Observed, v.says)
				})
			}
		}
	}
}

// TestModelsOfServicesWithTimeouts: a missing keep-alive is a warning there, whatever the model.
func TestModelsOfServicesWithTimeouts(t *testing.T) {
	t.Parallel()
	for _, model := range []string{"threaded", "loop"} {
		for _, service := range []string{"http", "http-keepalive", "smtp", "ftp", "pop3", "imap", "ssh"}[:fewer(7, 1)] {
			t.Run(model+"/"+service, func(t *testing.T) {
				t.Parallel()
				subject := modelSubject(model, "never-asks")
				subject.Service.Name = service // it converses as with echo
				result := modelCheck(t, "vanished-client").Judge(t, subject, rig.IPv6)
				assert.Equal(t, scorecard.Warn, result.Verdict, "%+v", result)
				assert.Contains(t, result.Observed, "no keep-alive")
			})
		}
	}
}

// TestOneClientAtATime: checks that hold several clients do with one.
func TestOneClientAtATime(t *testing.T) {
	t.Parallel()
	for name, wanted := range map[string]scorecard.Verdict{"reset-survived": scorecard.Pass, "fin-on-close": scorecard.Pass, "reload": scorecard.Pass, "reap-burst": scorecard.Skip} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := cli.BuiltIn("-defect", "serial")
			subject.Reload.Signal = syscall.SIGHUP
			result := modelCheck(t, name).Judge(t, subject, rig.IPv4)
			assert.Equal(t, wanted, result.Verdict, "%+v", result)
			assert.Regexp(t, "serves (one client|1) at a time", result.Observed)
		})
	}
}

// TestSkipsNameWhatIsNeeded: a check that cannot judge a model says what it would need.
func TestSkipsNameWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for model, serves := range map[string]string{
		"loop": "this subject serves all clients in one process",
		"pool": "this subject serves clients in processes that it had before the first one",
	} {
		for _, name := range []string{"reap", "reap-burst", "reap-exact", "reuse-live-worker", "fork-failure"} {
			t.Run(model+"/"+name, func(t *testing.T) {
				t.Parallel()
				result := modelCheck(t, name).Judge(t, modelSubject(model, ""), rig.IPv4)
				assert.Equal(t, scorecard.Skip, result.Verdict, "%+v", result)
				assert.Regexp(t, "^the check needs a process( or a thread)? for each connection: ("+serves+"|here threads that come with a client stay, and may serve the next one)$", result.Reason)
			})
		}
	}
}

// TestRemediesFitTheEnd: SIGPIPE is named only where it was the end.
func TestRemediesFitTheEnd(t *testing.T) {
	t.Parallel()
	killed := modelCheck(t, "peer-gone").Judge(t, cli.BuiltIn("-defect", "no-sigpipe"), rig.IPv4)
	assert.Equal(t, scorecard.Fail, killed.Verdict, "%+v", killed)
	assert.Contains(t, killed.Remedy, "SIGPIPE")
	exited := modelCheck(t, "peer-gone").Judge(t, modelSubject("loop", "ends-at-reset"), rig.IPv4)
	assert.Equal(t, scorecard.Fail, exited.Verdict, "%+v", exited)
	assert.NotContains(t, exited.Remedy, "SIGPIPE")
}

// TestTickOfALoop: a loop that looks around each second need not end a silent client by that.
func TestTickOfALoop(t *testing.T) {
	t.Parallel()
	result := modelCheck(t, "vanished-client").Judge(t, modelSubject("loop", "ticks"), rig.IPv4)
	assert.Equal(t, scorecard.Skip, result.Verdict, "%+v", result)
	assert.Contains(t, result.Reason, "the kernel does not show what the subject's timer or alarm is for")
}

func modelCheck(t *testing.T, name string) judge.Check {
	selected, err := checks.Select(name)
	require.NoError(t, err)
	return selected[0]
}

func modelSubject(model, flaw string) judge.Subject {
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program(strings.TrimSuffix(model+"."+flaw, ".")).Args[0]
	subject.Command = append(subject.Command, rig.Scaled(3*time.Second).String())
	subject.Reload.Signal = syscall.SIGHUP
	return subject
}

// model is such a server.
type model struct {
	flaw     string
	silence  time.Duration // that a server bears that ends silent clients: longer on a slow machine
	listener int           // descriptors
	clients  map[int]*client
	reload   chan os.Signal
}

// client is a connection in an event loop.
type client struct{ owed []byte }

func runModel(args []string, flaw string, serve func(*model)) int {
	silence, err := time.ParseDuration(args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	m := &model{flaw: flaw, silence: silence, clients: map[int]*client{}, reload: make(chan os.Signal, 1)}
	signal.Notify(m.reload, syscall.SIGHUP)
	listener, err := net.Listen("tcp", args[2]) // after -listen
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	m.listener = int(file.Fd()) // from now on its calls block
	serve(m)
	runtime.KeepAlive(listener)
	return 1
}

// admit prepares a connection.
func (m *model) admit(fd int) {
	switch m.flaw {
	case "leaks":
		_, _ = syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // it is what is wrong
	case "never-asks", "times-out", "times-out-late", "ticks":
	default:
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1) // an open socket takes it
	}
}

// lose ends a connection after its end, or after an error, and says whether it did.
func (m *model) lose(fd int, err error) bool {
	switch {
	case err == syscall.ECONNRESET && m.flaw == "ends-at-reset":
		os.Exit(1)
	case err == syscall.ECONNRESET && m.flaw == "keeps-reset", err == nil && m.flaw == "keeps-dropped":
		return false
	}
	syscall.Close(fd)
	return true
}

// reloaded is what a reload does.
func (m *model) reloaded() {
	switch m.flaw {
	case "reload-leaks":
		_, _ = syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // it is what is wrong
	case "reload-ends":
		os.Exit(1)
	}
}

// timeout is how long a silent client is kept, 0 for ever.
func (m *model) timeout() time.Duration {
	return map[string]time.Duration{"times-out": m.silence, "times-out-late": 20 * m.silence, "ticks": time.Second}[m.flaw]
}

func (m *model) serveInThreads() {
	go func() {
		for range m.reload {
			m.reloaded()
		}
	}()
	for {
		fd, _, err := syscall.Accept4(m.listener, syscall.SOCK_CLOEXEC)
		if err != nil {
			continue
		}
		m.admit(fd)
		go m.serve(fd)
	}
}

// serve is a thread of its own: it waits in calls that block.
func (m *model) serve(fd int) {
	if limit := syscall.NsecToTimeval(m.timeout().Nanoseconds()); m.timeout() > 0 {
		_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit) // an open socket takes it
	}
	buffer := make([]byte, 4096)
	for {
		n, err := syscall.Read(fd, buffer)
		for said := buffer[:max(n, 0)]; len(said) > 0 && err == nil; {
			var written int
			written, err = syscall.Write(fd, said)
			said = said[max(written, 0):]
		}
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			if !m.lose(fd, err) {
				select {}
			}
			return
		}
	}
}

func (m *model) serveInLoop() {
	runtime.LockOSThread()
	_ = syscall.SetNonblock(m.listener, true)
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	watch := func(how, fd int, events uint32) {
		_ = syscall.EpollCtl(poll, how, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)}) // both are open
	}
	watch(syscall.EPOLL_CTL_ADD, m.listener, syscall.EPOLLIN)
	// A signal comes as a byte of a pipe.
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return
	}
	watch(syscall.EPOLL_CTL_ADD, pipe[0], syscall.EPOLLIN)
	go func() {
		for range m.reload {
			_, _ = syscall.Write(pipe[1], []byte{1}) // the loop reads it
		}
	}()
	events := make([]syscall.EpollEvent, 64)
	buffer := make([]byte, 4096)
	for {
		limit := -1
		if m.timeout() > 0 && len(m.clients) > 0 {
			limit = int(m.timeout().Milliseconds())
		}
		n, err := syscall.EpollWait(poll, events, limit)
		if n == 0 && err == nil && m.flaw != "ticks" { // all are silent
			for fd := range m.clients {
				delete(m.clients, fd)
				m.lose(fd, syscall.ETIMEDOUT)
			}
		}
		for _, event := range events[:max(n, 0)] {
			fd := int(event.Fd)
			switch k := m.clients[fd]; {
			case fd == pipe[0]:
				_, _ = syscall.Read(fd, buffer[:1])
				m.reloaded()
			case fd == m.listener:
				if fd, _, err := syscall.Accept4(fd, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK); err == nil {
					m.admit(fd)
					m.clients[fd] = &client{}
					watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN)
				}
			case k != nil:
				err := k.step(fd, buffer)
				switch {
				case err == errOver || err != nil && err != syscall.EAGAIN && err != syscall.EINTR:
					delete(m.clients, fd)
					watch(syscall.EPOLL_CTL_DEL, fd, 0)
					if err == errOver {
						err = nil
					}
					m.lose(fd, err)
				case len(k.owed) > 0:
					watch(syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLOUT)
				default:
					watch(syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLIN)
				}
			}
		}
	}
}

// errOver says that the client has closed its sending side.
const errOver = syscall.Errno(1 << 20)

// step writes what is owed or, where nothing is, reads and answers.
func (k *client) step(fd int, buffer []byte) error {
	if len(k.owed) == 0 {
		n, err := syscall.Read(fd, buffer)
		switch {
		case err != nil:
			return err
		case n == 0:
			return errOver
		}
		k.owed = slices.Clone(buffer[:n])
	}
	n, err := syscall.Write(fd, k.owed)
	k.owed = k.owed[max(n, 0):]
	return err
}
