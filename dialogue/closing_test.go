// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhoClosesFirst(t *testing.T) {
	for _, c := range []struct{ written, byServer, byClient, abilities string }{
		{"none", `bye < .. eof`, ``, ""},
		{"ssh", `hello < /SSH-[0-9.]+-[^\n]+\n/ bye < .. eof`, `hello < /SSH-[0-9.]+-[^\n]+\n/`, ""},
		{"upper", `round > "message {n} of a client\n" < "MESSAGE {n} OF A CLIENT\n" < eof`,
			`round > "message {n} of a client\n" < "MESSAGE {n} OF A CLIENT\n"`, "answers distinguishes"},
		{"memcached", `round > "version\r\n" < "VERSION " .. "\r\n" bye > "quit\r\n" < eof`,
			`round > "version\r\n" < "VERSION " .. "\r\n"`, "answers repeats pipelines"},
		{`round > "a" < "b" bye > "c"`, `round > "a" < "b" bye > "c" < eof`, `round > "a" < "b" bye > "c"`, "answers repeats"},
	} {
		s := MustResolve(c.written)
		byServer := s.ClosedByServer()
		require.Equal(t, c.byServer, byServer.Dialogue.String())
		require.Equal(t, Ability(""), byServer.Lacks(ServerCloses))
		require.Equal(t, s.Name, byServer.Name)
		byClient, err := s.ClosedByClient()
		require.NoError(t, err)
		require.Equal(t, c.byClient, byClient.Dialogue.String())
		require.Equal(t, ServerCloses, byClient.Lacks(ServerCloses))
		for ability := range strings.FieldsSeq(c.abilities) {
			require.Equal(t, Ability(""), byServer.Lacks(Ability(ability)), c.written)
		}
		require.Len(t, byServer.Abilities, len(strings.Fields(c.abilities))+1, c.written)
	}
	_, err := MustResolve("http").ClosedByClient()
	require.ErrorContains(t, err, "the server closes first")
	require.Equal(t, MustResolve("http"), MustResolve("http").ClosedByServer())
	require.True(t, Service{}.IsZero())
	require.False(t, MustResolve("none").IsZero())
	require.Panics(t, func() { MustResolve(Auto) })
}
