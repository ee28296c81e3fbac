// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
)

func TestSubjectAt(t *testing.T) {
	subject := Subject{Command: []string{"server", "--at={ip}:{port}", "{ip}", "{host}", "-{family}", "{port}/{port}", "{other} {} {ip", "-d'{dir}/x'"}}
	assert.Equal(t, []string{"server", "--at=10.0.1.1:9999", "10.0.1.1", "10.0.1.1", "-4", "9999/9999", "{other} {} {ip", "-d'/d/x'"},
		subject.At(netip.MustParseAddrPort("10.0.1.1:9999"), "/d").Args)
	assert.Equal(t, []string{"server", "--at=[fd00::1]:9999", "fd00::1", "[fd00::1]", "-6", "9999/9999", "{other} {} {ip", "-d'/d/x'"},
		subject.At(netip.MustParseAddrPort("[fd00::1]:9999"), "/d").Args)
}

// FuzzSubjectAt: a word stays a word, and no placeholder stays.
func FuzzSubjectAt(f *testing.F) {
	f.Add("--listen={ip}:{port}")
	f.Add("{{ip}:}{port")
	f.Fuzz(func(t *testing.T, word string) {
		for _, address := range []string{"10.0.1.1:9999", "[fd00::1]:9999"} {
			words := Subject{Command: []string{"server", word}}.At(netip.MustParseAddrPort(address), "/d").Args
			require.Len(t, words, 2)
			if !strings.Contains(word, "{") {
				assert.Equal(t, word, words[1])
			}
			if strings.Count(word, "{") == 1 {
				for _, name := range []string{"{ip}", "{host}", "{port}", "{family}", "{dir}"} {
					assert.NotContains(t, words[1], name)
				}
			}
		}
	})
}

func TestSubjectCheck(t *testing.T) {
	right := Subject{Command: []string{"server", "{port}"}, Service: dialogue.MustResolve("echo")}
	require.NoError(t, right.Check())
	builtInPort := right
	builtInPort.Command, builtInPort.Port = []string{"server"}, 7
	require.NoError(t, builtInPort.Check())
	assert.Equal(t, uint16(7), builtInPort.ListenPort())
	toBeFound := right
	toBeFound.Command = []string{"server"}
	require.NoError(t, toBeFound.Check())
	assert.Zero(t, toBeFound.ListenPort())
	assert.Equal(t, uint16(defaultPort), right.ListenPort())
	for message, change := range map[string]func(*Subject){
		"command is empty":                           func(s *Subject) { s.Command = nil },
		"leave it out, or give another dialogue":     func(s *Subject) { s.Service, s.Closes = dialogue.MustResolve("http"), Client },
		`side "both" that closes first: give client`: func(s *Subject) { s.Closes = "both" },
		`"wait": give drain, kill or leave`:          func(s *Subject) { s.OnTerm = "wait" },
		"ready in -1s":                               func(s *Subject) { s.Ready = -1e9 },
	} {
		wrong := right
		change(&wrong)
		assert.ErrorContains(t, wrong.Check(), message)
	}
}

// TestPlaceholdersOfReload: the command of a reload knows where the subject is, and its number.
func TestPlaceholdersOfReload(t *testing.T) {
	words := placed([]string{"sh", "-c", "kill -HUP {pid} $(cat {dir}/pid) # {ip}:{port} {other}"}, netip.MustParseAddrPort("[fd00::1]:9999"), "/d", "{pid}", "7")
	assert.Equal(t, []string{"sh", "-c", "kill -HUP 7 $(cat /d/pid) # [fd00::1]:9999 {other}"}, words)
	assert.NoError(t, Reload{Command: []string{"sh", "-c", "kill $(cat {dir}/pid)"}}.check())
	assert.Error(t, Reload{Command: []string{"reload"}}.check())
}
