// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aptConfig is a part of what apt-config dump prints.
const aptConfig = `APT "";
APT::Architecture "amd64";
Dir "/";
Dir::Etc "etc/apt";
Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "sources.list.d";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::Languages:: "none";
`

func TestAptConfig(t *testing.T) {
	settings := parseAptConfig(aptConfig)
	assert.Equal(t, "http://proxy.example:3128", settings["Acquire::http::Proxy"])
	assert.Equal(t, "etc/apt", settings["Dir::Etc"])
	assert.Equal(t, "", settings["APT"])
}

func TestSources(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Mirror
	}{
		"lines": {map[string]string{
			"sources.list": "# deb http://no.example/debian stable main\ndeb-src http://source.example/debian stable main\n" +
				"deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian/ bookworm main\n" +
				"deb http://mirror.example/debian-security bookworm-security main\n" +
				"deb http://second.example/debian bookworm main\n",
		}, Mirror{Debian: "http://mirror.example/debian", Security: "http://mirror.example/debian-security", Keyrings: []string{"/keys/a.gpg"}}},
		"stanzas": {map[string]string{
			"parts/debian.sources": "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm\nSigned-By: /keys/a.gpg\n\n" +
				"Types: deb\nURIs: https://mirror.example/debian-security\nSigned-By: /keys/b.asc\n",
			"parts/off.sources": "Types: deb\nEnabled: no\nURIs: http://off.example/debian\n",
		}, Mirror{Debian: "http://mirror.example/debian", Security: "https://mirror.example/debian-security", Keyrings: []string{"/keys/a.gpg"}}},
		"another distribution": {map[string]string{
			"sources.list": "deb http://archive.ubuntu.com/ubuntu noble main\ndeb cdrom:[x]/ a b\ndeb file:/mirror/debian a b\n",
		}, Mirror{}},
		"nothing": {nil, Mirror{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(dir, file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			var m Mirror
			require.NoError(t, m.readSources(dir, "sources.list", "parts"))
			assert.Equal(t, c.want, m)
		})
	}
}

func FuzzSources(f *testing.F) {
	f.Add("deb [signed-by=/a.gpg] http://mirror.example/debian bookworm main\n")
	f.Add("Types: deb\nURIs: http://mirror.example/debian\n")
	f.Fuzz(func(t *testing.T, text string) {
		var m Mirror
		for _, read := range []error{m.readList(strings.NewReader(text)), m.readDeb822(strings.NewReader(text))} {
			_ = read // any error will do
		}
		assert.True(t, m.Debian == "" || strings.HasPrefix(strings.ToLower(m.Debian), "http"))
	})
}

func TestMirrorOfAddress(t *testing.T) {
	m := Mirror{Debian: "http://mirror.example/d/"}
	assert.Equal(t, "http://mirror.example/d/pool/x.deb", m.on(debianURL+"/pool/x.deb"))
	assert.Equal(t, securityURL+"/pool/x.deb", m.on(securityURL+"/pool/x.deb"))
	assert.Equal(t, "http://elsewhere.example/x.deb", m.on("http://elsewhere.example/x.deb"))

	r, err := http.NewRequest(http.MethodGet, "http://mirror.example/", nil)
	require.NoError(t, err)
	m.Proxy = "http://proxy.example:3128"
	u, err := m.proxy(r)
	require.NoError(t, err)
	assert.Equal(t, m.Proxy, u.String())
	m.Proxy = "DIRECT"
	u, err = m.proxy(r)
	require.NoError(t, err)
	assert.Nil(t, u)
}
