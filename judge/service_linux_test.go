// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// speak is a server of one of these services.
func speak(args []string) int {
	name, defers := strings.CutPrefix(args[1], "deferring ")
	listening := net.ListenConfig{}
	if defers {
		listening = deferring
	}
	return serveAt(listening, args[2], map[string]func(net.Conn){
		"echo": func(conn net.Conn) { _, _ = io.Copy(conn, conn) }, // an error means that the client has left
		"upper once": func(conn net.Conn) {
			line, _ := bufio.NewReader(conn).ReadString('\n')
			fmt.Fprint(conn, strings.ToUpper(line))
		},
		"http": http,
		// A reset comes instead of the end.
		"resetting http": func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); http(conn) },
		"mail":           mail,
		"late mail":      func(conn net.Conn) { time.Sleep(time.Second); mail(conn) }, // it is what is late
		"wrong mail": func(conn net.Conn) {
			fmt.Fprint(conn, "220 ready\r\n")
			eachLine(conn, func(string) bool { fmt.Fprint(conn, "554 \x1b[2Jno\r\n"); return true })
		},
		"prompt": func(conn net.Conn) { fmt.Fprint(conn, "> "); _, _ = io.Copy(io.Discard, conn) },
		"ready":  func(conn net.Conn) { fmt.Fprint(conn, "READY\r\n"); _, _ = io.Copy(io.Discard, conn) },
		"mute":   func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"length": func(conn net.Conn) { eachLine(conn, func(l string) bool { fmt.Fprintln(conn, len(l)); return true }) },
	}[name])
}

// eachLine calls f with each line until f says no or the client has left.
func eachLine(conn net.Conn, f func(line string) bool) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() && f(lines.Text()) {
	}
}

// http answers when the request has come, and closes.
func http(conn net.Conn) {
	eachLine(conn, func(line string) bool {
		if line == "" {
			fmt.Fprint(conn, "HTTP/1.0 404 not here\r\n\r\nno page\n")
		}
		return line != ""
	})
}

// mail is an SMTP server that closes after QUIT.
func mail(conn net.Conn) {
	fmt.Fprint(conn, "220 host ESMTP\r\n")
	eachLine(conn, func(line string) bool {
		switch line {
		case "NOOP":
			fmt.Fprint(conn, "250 OK\r\n")
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
		default:
			fmt.Fprint(conn, "500 what?\r\n")
		}
		return line != "QUIT"
	})
}

// speaking is a server as a subject whose service is not given.
func speaking(name string) Subject {
	return Subject{Command: rig.Program("speak", name, "{ip}:{port}").Args}
}

// TestServicesAreFoundOut by the greeting and the probes.
func TestServicesAreFoundOut(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]struct {
		service string
		closes  Side
	}{
		"echo": {"echo", ""}, "upper once": {"upper", Server}, "http": {"http", ""}, "resetting http": {"http", ""}, "deferring http": {"http", ""}, "deferring echo": {"echo", ""}, "mail": {"smtp", ""}, "late mail": {"smtp", ""},
		"wrong mail": {`hello < .. "\n"`, ""}, "ready": {`hello < .. "\n"`, ""}, "prompt": {"hello < 1", ""}, "mute": {"none", ""}, "length": {"none", ""},
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			profile, absent := Reach(t, speaking(server), rig.IPv4)
			require.Empty(t, absent)
			assert.Equal(t, want.service, profile.Seen.String())
			assert.Equal(t, want.closes, profile.Closes)
			assert.True(t, profile.Given.IsZero())
			subject := profile.Apply(speaking(server))
			assert.Equal(t, want.service, subject.Service.String())
			assert.Equal(t, want.closes, subject.Closes)
		})
	}
}

// TestServiceThatIsGiven wins over what could be found out, where the subject answers as it says.
func TestServiceThatIsGiven(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ server, given, says string }{
		{"http", "none", ""},
		{"http", `> "GET / HTTP/1.0\r\n\r\n" < "HTTP/1.0 404" .. eof`, ""},
		{"length", "line", ""},
		{"echo", "line", ""},
		{"wrong mail", "smtp", ""}, // the checks judge wrong bytes
		{"http", "echo", "given: echo; seen: http: it does not answer as the service echo does: round 1, step 2: "},
		{"mail", "http", "use -service smtp, or -service none"},
		{"mute", "redis", "use -service none for another service"},
	} {
		t.Run(v.server+" as "+v.given, func(t *testing.T) {
			t.Parallel()
			subject := speaking(v.server)
			subject.Service = dialogue.MustResolve(v.given)
			profile, absent := Reach(t, subject, rig.IPv4)
			if v.says != "" {
				require.ErrorContains(t, absent[rig.IPv4], v.says)
				return
			}
			require.Empty(t, absent)
			assert.Equal(t, subject.Service, profile.Given)
			assert.Equal(t, subject.Service, profile.Seen)
		})
	}
}

// TestConversations says dialogues to servers as checks do.
func TestConversations(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		server, service string
		closes          Side
		fails           string // "" means that a client is served
		timeWait        bool   // the server has it
	}{
		{"mail", "smtp", "", "", true},
		{"late mail", "smtp", "", "", true},
		{"mail", "smtp", Client, "", false},
		{"http", "http", "", "", true},
		{"deferring http", "http", "", "", true},
		{"deferring echo", "echo", "", "", false},
		{"upper once", "upper", Server, "", true},
		{"echo", "echo", "", "", false},
		{"ready", "none", "", "", false},
		{"wrong mail", "smtp", "", `round 1, step 2: from byte 0 of the reply "554 \x1b[2Jno\r\n" came instead of "250"; byte 0 differs`, false},
		{"mail", `hello < "220 " .. "\n" round > "NOOP\r\n" < "250" eof`, "", `round 1, step 2: from byte 3 of the reply " OK\r\n" came instead of the end of the stream`, false},
		{"echo", "upper", "", `instead of "MESSAGE 1 OF A CLIENT\n"; byte 0 differs`, false},
		{"mute", "redis", "", `did not come; from byte 0 of the reply nothing came: the subject is quiescent`, false},
	} {
		t.Run(fmt.Sprintf("%s as %s %s", v.server, v.service, v.closes), func(t *testing.T) {
			t.Parallel()
			subject := speaking(v.server)
			subject.Service, subject.Closes = dialogue.MustResolve(v.service), v.closes
			converses := Check{Name: "converses", Meaning: "m", Run: func(c *Case) {
				c.Start("")
				k := c.MustDial(0)
				c.MustServe(k.Begin())
				if c.Service.Lacks(dialogue.Repeats) == "" {
					c.MustServe(k.Exchange())
				}
				c.MustServe(k.Finish())
				_, err := c.Until("the end of the connection", func() (bool, string, error) {
					here, err := c.PortSockets()
					rest := len(here) - len(here.In(rig.Listening)) - len(here.In(rig.TimeWait))
					return rest == 0, here.String(), err
				})
				c.Must(err)
				here, err := c.PortSockets()
				c.Must(err)
				c.Note("%d in TIME_WAIT", len(here.In(rig.TimeWait)))
			}}
			result := converses.Judge(t, subject, rig.IPv4)
			if v.fails != "" {
				assert.Equal(t, scorecard.Broken, result.Verdict)
				assert.Contains(t, result.Reason, v.fails)
				return
			}
			require.Equal(t, scorecard.Pass, result.Verdict, "%+v", result)
			want := "0 in TIME_WAIT"
			if v.timeWait {
				want = "1 in TIME_WAIT"
			}
			assert.Equal(t, want, result.Observed)
		})
	}
}

// TestSkipsNameTheAbility that the check needs and the service lacks.
func TestSkipsNameTheAbility(t *testing.T) {
	t.Parallel()
	subject := speaking("echo")
	subject.Service, subject.Closes = dialogue.MustResolve("echo"), Server
	check := Check{Name: "needs", Meaning: "m", Needs: []dialogue.Ability{dialogue.Answers, dialogue.Repeats}, Run: func(*Case) {}}
	result := check.Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.Skip, result.Verdict)
	assert.Contains(t, result.Reason, `the ability "repeats", which echo with -closes server lacks`)
}

// TestSubjectThatWaitsForBytes is not judged where the service has none to say.
func TestSubjectThatWaitsForBytes(t *testing.T) {
	t.Parallel()
	subject := speaking("deferring http")
	subject.Service = dialogue.MustResolve("none")
	check := Check{Name: "converses", Meaning: "m", Run: func(c *Case) {
		c.Start("")
		c.MustServe(c.Visit(0))
	}}
	result := check.Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.Skip, result.Verdict)
	const says = "accepts a client only when it has sent something (TCP_DEFER_ACCEPT): give the client's dialogue with -service"
	assert.Contains(t, result.Reason, says)
	_, _, err := Trial{Subject: subject, Checks: []Check{check}}.Run(t)
	assert.ErrorIs(t, err, ErrUnreachable)
	assert.ErrorContains(t, err, says)
}

// TestSubjectThatWaitsForBytesOfASlowClient: its SYN-ACK was repeated, and is not any more.
func TestSubjectThatWaitsForBytesOfASlowClient(t *testing.T) {
	t.Parallel()
	subject := speaking("deferring http")
	subject.Service = dialogue.MustResolve("none")
	result := Check{Name: "converses", Meaning: "m", Run: func(c *Case) {
		c.Start("")
		c.Apply(fault.Impairment{Link: c.Clients[0].Links()[0], From: c.Clients[0], Delay: 1200 * time.Millisecond})
		conn := c.MustDial(0)
		err := conn.AwaitAccepted()
		socket, _, lost := conn.ServerSocket()
		c.Must(lost)
		assert.Positive(t, socket.Retransmits)
		c.MustServe(err)
	}}.Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.Skip, result.Verdict)
	assert.Contains(t, result.Reason, "accepts a client only when it has sent something (TCP_DEFER_ACCEPT)")
}
