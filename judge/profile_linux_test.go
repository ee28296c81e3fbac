// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// profileOf is the profile of a program in one family.
func profileOf(t *testing.T, family rig.Family, service string, program string, args ...string) scorecard.Profile {
	t.Helper()
	subject := Subject{Command: rig.Program(program, args...).Args}
	if service != "" {
		subject.Service = dialogue.MustResolve(service)
	}
	profile, absent := Reach(t, subject, family)
	require.Empty(t, absent)
	return profile.Card()
}

// TestModels tells how servers serve from what the kernel shows.
func TestModels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		model      scorecard.Model
		program    string
		daemonizes bool
		processes  int
		clients    int
	}{
		"fork":        {scorecard.ForkPerConnection, "", false, 1, maxCrowd},
		"inetd":       {scorecard.Inetd, "cat", false, 1, maxCrowd},
		"threads":     {scorecard.Threads, "", false, 1, maxCrowd},
		"serial":      {scorecard.OneAtATime, "", false, 1, 1},
		"loop":        {scorecard.EventLoop, "", false, 1, maxCrowd},
		"pre-forked":  {scorecard.PreForked, "", false, 4, 3},
		"daemonizing": {scorecard.EventLoop, "", true, 1, maxCrowd},
	} {
		for _, family := range rig.Families {
			t.Run(fmt.Sprintf("%s over %v", name, family), func(t *testing.T) {
				t.Parallel()
				p := profileOf(t, family, "echo", "modelled", name, "{ip}:{port}")
				assert.Equal(t, want.model, p.Model)
				if want.program != "" { // cat may be one of many programs in one file
					assert.NotEmpty(t, p.Program)
				} else {
					assert.Empty(t, p.Program)
				}
				assert.Equal(t, want.daemonizes, p.Daemonizes)
				assert.Equal(t, want.processes, p.Processes)
				assert.GreaterOrEqual(t, p.Threads, p.Processes)
				assert.Equal(t, want.clients, p.Clients)
				assert.Equal(t, []string{family.String()}, p.Families)
				require.Len(t, p.Listeners, 1)
				assert.Equal(t, "{ip}:9999", p.Listeners[0].Address)
				assert.Equal(t, family.String(), p.Listeners[0].Family)
				assert.Positive(t, p.Listeners[0].Backlog)
				assert.Equal(t, "client", p.ClosesFirst)
				assert.Equal(t, "client", p.SpeaksFirst)
			})
		}
	}
}

// TestWhoSpeaksFirst is found out with and without a service.
func TestWhoSpeaksFirst(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ server, service, speaks, greeting, closes string }{
		{"mail", "", "server", `220 host ESMTP\r\n`, "server"},
		{"mail", "smtp", "server", `220 host ESMTP\r\n`, "server"},
		{"late mail", "", "server", `220 host ESMTP\r\n`, "server"},
		{"ready", "none", "server", `READY\r\n`, ""},
		{"echo", "", "client", "", "client"},
		{"upper once", "", "client", "", "server"},
		{"deferring http", "", "client", "", "server"},
		{"mute", "", "", "", ""},
	} {
		t.Run(v.server+" as "+v.service, func(t *testing.T) {
			t.Parallel()
			p := profileOf(t, rig.IPv4, v.service, "speak", v.server, "{ip}:{port}")
			assert.Equal(t, v.speaks, p.SpeaksFirst)
			assert.Equal(t, v.greeting, p.Greeting)
			assert.Equal(t, v.closes, p.ClosesFirst)
		})
	}
}

// TestClosingServerHasNoCrowd: how many clients are served at a time cannot be seen.
func TestClosingServerHasNoCrowd(t *testing.T) {
	t.Parallel()
	p := profileOf(t, rig.IPv6, "", "setting", "closing", "{ip}:{port}")
	assert.Equal(t, `\x1b220 bye\r\n`, p.Greeting)
	assert.Zero(t, p.Clients)
	assert.Empty(t, p.Model)
}

// TestWhatASubjectHasSet is read from one that has set it and from one that has not.
func TestWhatASubjectHasSet(t *testing.T) {
	t.Parallel()
	for _, family := range rig.Families {
		for _, option := range []string{"nothing", "SO_REUSEPORT", "TCP_DEFER_ACCEPT", "SO_KEEPALIVE", "MPTCP"} {
			t.Run(fmt.Sprintf("%s over %v", option, family), func(t *testing.T) {
				t.Parallel()
				if option == "MPTCP" {
					if text, _ := os.ReadFile("/proc/sys/net/mptcp/enabled"); strings.TrimSpace(string(text)) != "1" {
						t.Skip("the kernel has no Multipath TCP (net.mptcp.enabled)")
					}
				}
				p := profileOf(t, family, "echo", "setting", option, "{ip}:{port}")
				require.Len(t, p.Listeners, 1)
				want := []string{"SO_REUSEADDR", option} // the first one is set by package net
				if option == "nothing" {
					want = want[:1]
				}
				assert.Equal(t, want, p.Listeners[0].Options)
				assert.Empty(t, p.Listeners[0].Unread)
				assert.False(t, p.Listeners[0].TakesIPv4)
			})
		}
		t.Run(fmt.Sprintf("both families over %v", family), func(t *testing.T) {
			t.Parallel()
			p := profileOf(t, family, "echo", "setting", "nothing", ":{port}")
			require.Len(t, p.Listeners, 1)
			assert.Equal(t, "[::]:9999", p.Listeners[0].Address)
			assert.True(t, p.Listeners[0].TakesIPv4)
		})
	}
	t.Run("limits", func(t *testing.T) {
		t.Parallel()
		coreOf := func(p scorecard.Profile) []scorecard.Limit {
			return slices.DeleteFunc(p.Limits, func(l scorecard.Limit) bool { return l.Resource != "RLIMIT_CORE" })
		}
		p := profileOf(t, rig.IPv4, "echo", "setting", "limits", "{ip}:{port}")
		require.Len(t, coreOf(p), 1)
		assert.Equal(t, "4096", p.Limits[0].Soft)
		assert.NotEqual(t, "4096", p.Limits[0].Before)
		assert.Empty(t, coreOf(profileOf(t, rig.IPv4, "echo", "setting", "nothing", "{ip}:{port}")))
	})
}

// TestSignalsOfASubject that are caught, ignored and blocked.
func TestSignalsOfASubject(t *testing.T) {
	t.Parallel()
	p := profileOf(t, rig.IPv4, "echo", "setting", "signals", "{ip}:{port}")
	plain := profileOf(t, rig.IPv4, "echo", "setting", "nothing", "{ip}:{port}")
	assert.Contains(t, p.Ignored, "SIGTTOU")
	assert.NotContains(t, plain.Ignored, "SIGTTOU")
	assert.Contains(t, p.Blocked, "SIGUSR2")
	assert.NotContains(t, plain.Blocked, "SIGUSR2")
	assert.Contains(t, plain.Caught, scorecard.Caught{Signal: "SIGCHLD", Restart: "yes"}, "the Go runtime does")
	assert.NotContains(t, plain.Caught, scorecard.Caught{Signal: "SIGKILL"})
	for _, c := range plain.Caught {
		assert.Equal(t, "yes", c.Restart, c.Signal)
	}
}

// TestRestartIsNotClaimed where the start was not watched.
func TestRestartIsNotClaimed(t *testing.T) {
	t.Parallel()
	check := Check{Name: "signals", Meaning: "m", Run: func(c *Case) {
		s := c.Start("")
		var f scorecard.Profile
		s.describeSignals(&f, s.Head())
		c.Note("%v", f.Caught[0].Restart == "")
	}}
	subject := Subject{Command: rig.Program("echo", "{ip}:{port}").Args, Service: dialogue.MustResolve("echo")}
	assert.Equal(t, "true", check.Judge(t, subject, rig.IPv4).Observed)
}

// TestUserOfASubject is that of the processes which serve.
func TestUserOfASubject(t *testing.T) {
	t.Parallel()
	subject := Subject{Command: rig.Program("modelled", "fork", "{ip}:{port}").Args, Service: dialogue.MustResolve("echo"), User: "4242"}
	profile, absent := Reach(t, subject, rig.IPv4)
	if rig.Rootless() {
		require.Error(t, absent[rig.IPv4], "there is one user only")
		p := profileOf(t, rig.IPv4, "echo", "modelled", "fork", "{ip}:{port}")
		assert.Empty(t, p.User)
		return
	}
	require.Empty(t, absent)
	assert.Equal(t, "4242", profile.Card().User)
}

// TestPortIsFoundOut where none is given.
func TestPortIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		server, address string
		port            uint16
		says            string // the port is not known
	}{
		{"nothing", ":7777", 7777, ""},
		{"nothing", "{ip}:7777", 7777, ""},
		{"loopback, too", "{ip}:7777", 7777, ""},
		{"two ports", ":7777", 0, "listens on the ports 7777, 7778: name the right one with -port"},
		{"nothing", "127.0.0.1:7777", 0, "it listens on 127.0.0.1:7777 only, which clients on other hosts cannot reach: write {ip} in its command"},
		{"nothing", "[::1]:7777", 0, "it listens on [::1]:7777 only, which clients on other hosts cannot reach: write {ip} in its command"},
		{"nothing", "127.0.0.1:{port}", 0, "it listens on 127.0.0.1:9999 only, which clients on other hosts cannot reach: write {ip} in its command"},
	} {
		for _, family := range rig.Families {
			t.Run(fmt.Sprintf("%s at %s over %v", v.server, v.address, family), func(t *testing.T) {
				t.Parallel()
				subject := Subject{Command: rig.Program("setting", v.server, v.address).Args}
				profile, absent := Reach(t, subject, family)
				if v.says != "" {
					require.ErrorContains(t, absent[family], v.says)
					return
				}
				require.Empty(t, absent)
				assert.Equal(t, v.port, profile.Port)
				found := profile.Apply(subject)
				assert.Equal(t, v.port, found.ListenPort())
				check := Check{Name: "converses", Meaning: "m", Run: func(c *Case) {
					c.Start("")
					c.MustServe(c.Visit(0))
				}}
				assert.Equal(t, scorecard.Pass, check.Judge(t, found, family).Verdict)
			})
		}
	}
}

// TestOneFamilyIsServed by a subject that listens on the port in the lab of the other family, too.
func TestOneFamilyIsServed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:{port}", "0.0.0.0:7777"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			subject := Subject{Command: rig.Program("setting", "one family", address).Args}
			_, absent := Reach(t, subject, rig.Families[:]...)
			require.Len(t, absent, 1)
			assert.Regexp(t, `^it listens on 0\.0\.0\.0:[79]+ only, which clients cannot reach over IPv6: write \{ip\} in its command`, absent[rig.IPv6])
		})
	}
}

// TestDirectoryOfAStart is a fresh one for each, of the subject's user, and gone with the lab.
func TestDirectoryOfAStart(t *testing.T) {
	t.Parallel()
	subject := Subject{Command: rig.Program("setting", "directory", "{ip}:{port}", "{dir}").Args, Service: dialogue.MustResolve("echo")}
	if !rig.Rootless() {
		subject.User = LimitedUser
	}
	var dirs []string
	check := Check{Name: "directories", Meaning: "m", Run: func(c *Case) {
		for range 2 {
			s := c.Start("")
			dir := s.Process.Command.Args[len(s.Process.Command.Args)-1]
			_, err := os.Stat(dir + "/file")
			c.Must(err)
			dirs = append(dirs, dir)
			c.KillSubject()
		}
	}}
	require.Equal(t, scorecard.Pass, check.Judge(t, subject, rig.IPv4).Verdict)
	require.Len(t, dirs, 2)
	assert.NotEqual(t, dirs[0], dirs[1])
	for _, dir := range dirs {
		_, err := os.Stat(dir)
		assert.ErrorIs(t, err, os.ErrNotExist)
	}
}

// TestProfilesAreJoined: the family in which something was found out comes first.
func TestProfilesAreJoined(t *testing.T) {
	none := Profile{Seen: dialogue.MustResolve("none"), facts: scorecard.Profile{Families: []string{"IPv4"}}}
	http := Profile{Seen: dialogue.MustResolve("http"), facts: scorecard.Profile{Families: []string{"IPv6"}}}
	for _, joined := range []Profile{none.join(http), http.join(none), Profile{}.join(http).join(none)} {
		assert.Equal(t, "http", joined.Seen.Name)
		assert.Equal(t, []string{"IPv6", "IPv4"}, joined.Card().Families)
	}
	assert.Equal(t, []string{"IPv4"}, none.join(none).Card().Families)
	given := http
	given.Given = dialogue.MustResolve("echo")
	assert.Equal(t, scorecard.Service{Given: "echo", Seen: "http"}, given.Card().Service)
}
