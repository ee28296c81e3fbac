// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// someProfile has every field.
func someProfile() Profile {
	return Profile{
		Service: Service{Given: "echo", Seen: "http", Closes: "server"}, Model: Inetd, Program: "cat", Daemonizes: true, Processes: 2, Threads: 3,
		User: "www-data", SpeaksFirst: "server", Greeting: `220 ready\r\n`, ClosesFirst: "client", Clients: 32, OneInstance: true, Families: []string{"IPv4"},
		Listeners: []Listener{{Family: "IPv4", Address: "[::]:9999", Backlog: 511, TakesIPv4: true, Options: []string{"SO_REUSEADDR", "TCP_DEFER_ACCEPT"}}},
		Caught:    []Caught{{"SIGHUP", "no"}, {"SIGTERM", ""}, {"SIGCHLD", "yes"}}, Ignored: []string{"SIGPIPE"}, Blocked: []string{"SIGUSR1", "SIGUSR2"},
		Limits: []Limit{{"RLIMIT_NOFILE", "65536", "1024"}, {"RLIMIT_CORE", "unlimited", "0"}},
	}
}

func TestProfileLines(t *testing.T) {
	nginx := Profile{Service: Service{Seen: "http"}, Model: EventLoop, Processes: 2, Threads: 2, User: "www-data", ClosesFirst: "client", Clients: 32,
		Listeners: []Listener{{Family: "IPv4", Address: "0.0.0.0:9999", Backlog: 511, Options: []string{"SO_REUSEADDR"}}},
		Caught:    []Caught{{"SIGHUP", "no"}, {"SIGCHLD", "yes"}}}
	assert.Equal(t, []string{
		"http, event loop, 2 processes, as user www-data; the client closes first; at",
		"least 32 clients at a time; listens on 0.0.0.0:9999 backlog 511: SO_REUSEADDR;",
		"catches SIGCHLD (SA_RESTART), SIGHUP",
	}, nginx.Lines(80))
	assert.Equal(t, []string{
		"given: echo; seen: http, inetd: a process of cat for each connection, daemonizes, 2 processes, 3 threads, as user www-data; " +
			`the client closes first; at least 32 clients at a time; one instance at a time, so that the checks run one after another; greets "220 ready\r\n"; ` +
			"listens on [::]:9999 backlog 511: SO_REUSEADDR, TCP_DEFER_ACCEPT, takes IPv4, too; " +
			"sets RLIMIT_NOFILE 65536 (was 1024); RLIMIT_CORE unlimited (was 0); " +
			"blocks SIGUSR1, SIGUSR2; ignores SIGPIPE; catches SIGCHLD (SA_RESTART), SIGTERM, SIGHUP",
	}, someProfile().Lines(1000))
	assert.Empty(t, Profile{}.Lines(80))
	assert.Equal(t, []string{"one client at a time"}, Profile{Model: OneAtATime, Clients: 1}.Lines(80))
	assert.Equal(t, []string{"fork per connection (sshd-session)"}, Profile{Model: ForkPerConnection, Program: "sshd-session"}.Lines(80))
	assert.Equal(t, []string{"at least 1 client at a time"}, Profile{Clients: 1}.Lines(80))
	for columns := range 120 {
		lines := someProfile().Lines(columns)
		require.LessOrEqual(t, len(lines), maxProfileLines)
		for _, line := range lines {
			assert.LessOrEqual(t, width(line), max(columns, 1), "%q in %d columns", line, columns)
		}
	}
}

// TestManySignals are counted: a runtime catches what it can.
func TestManySignals(t *testing.T) {
	all := func(restart ...string) (caught []Caught) {
		for i := range 3 * len(restart) * manySignals {
			caught = append(caught, Caught{fmt.Sprint("SIG", i), restart[i%len(restart)]})
		}
		return caught
	}
	for want, caught := range map[string][]Caught{
		"catches 60 signals, all with SA_RESTART":  all("yes"),
		"catches 60 signals, none with SA_RESTART": all("no"),
		"catches 60 signals":                       all(""),
		"catches 120 signals, 60 with SA_RESTART":  all("yes", "no"),
		"catches 120 signals":                      all("yes", ""),
	} {
		assert.Equal(t, []string{want}, Profile{Caught: caught}.Lines(80))
	}
}

// TestProfileIsReadAgain from JSON, and so is the service of a card without a profile.
func TestProfileIsReadAgain(t *testing.T) {
	card := Card{Subject: "s", Complete: true, Profile: someProfile()}
	var text bytes.Buffer
	require.NoError(t, card.WriteJSON(&text))
	read, err := Parse(bytes.NewReader(text.Bytes()))
	require.NoError(t, err)
	assert.Equal(t, card, read)

	const old = `{"schema":2,"complete":true,"ended_by":"","subject":"s","kernel":"k","seed":1,"checks":[],"service":{"given":"echo","seen":"http"}}`
	read, err = Parse(strings.NewReader(old))
	require.NoError(t, err)
	assert.Equal(t, Profile{Service: Service{Given: "echo", Seen: "http"}}, read.Profile)
	empty := strings.Replace(old, `"service"`, `"profile":{"listeners":[{"family":"","address":"","backlog":0,"options":[]}],"caught":[],"limits":[]},"service"`, 1)
	read, err = Parse(strings.NewReader(empty))
	require.NoError(t, err)
	assert.Nil(t, read.Profile.Caught)
	assert.Nil(t, read.Profile.Listeners[0].Options)
}

func TestProfilesOfTwoFamilies(t *testing.T) {
	v4, v6 := someProfile(), someProfile()
	v4.Model, v4.Program, v4.Clients = "", "", 3
	v6.Families, v6.Listeners[0].Family, v6.Listeners[0].Backlog = []string{"IPv6", "IPv4"}, "IPv6", 1
	joined := v4.Join(v6)
	assert.Equal(t, []string{"IPv4", "IPv6"}, joined.Families)
	assert.Len(t, joined.Listeners, 2)
	assert.Equal(t, 32, joined.Clients)
	assert.Equal(t, Inetd, joined.Model)
	assert.Contains(t, joined.Lines(2000)[0], "listens on [::]:9999 backlog 511: SO_REUSEADDR, TCP_DEFER_ACCEPT, takes IPv4, too; [::]:9999 backlog 1: ")
	assert.Equal(t, []string{"IPv4"}, v4.Families, "the first one stays as it is")
}
