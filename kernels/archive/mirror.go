// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Mirror says where Debian's archive is. The zero value is Debian's own servers.
type Mirror struct {
	// Debian and Security are the addresses of the archive and of its part for security
	// updates, such as "http://deb.debian.org/debian". "" is Debian's own server.
	Debian, Security string
	// Proxy is the address of a proxy, "DIRECT" for none, or "" for the one that the
	// environment names (HTTP_PROXY).
	Proxy string
	// Keyrings are files with the keys that may sign the archive's index.
	Keyrings []string
}

// The addresses that lock files have.
const (
	debianURL   = "http://deb.debian.org/debian"
	securityURL = "http://deb.debian.org/debian-security"
)

// on returns an address of Debian's own servers on the mirror.
func (m Mirror) on(address string) string {
	for own, mirror := range map[string]string{debianURL + "/": m.Debian, securityURL + "/": m.Security} {
		if path, found := strings.CutPrefix(address, own); found && mirror != "" {
			return strings.TrimSuffix(mirror, "/") + "/" + path
		}
	}
	return address
}

// proxy is the proxy for a request.
func (m Mirror) proxy(r *http.Request) (*url.URL, error) {
	switch m.Proxy {
	case "":
		return http.ProxyFromEnvironment(r)
	case "DIRECT":
		return nil, nil
	}
	return url.Parse(m.Proxy)
}

// keyrings are where Debian puts its keys (package debian-archive-keyring).
const keyrings = "/usr/share/keyrings/debian-archive-*.gpg"

// SystemMirror returns the mirror, the proxy and the keys that apt is configured with. Where apt
// is not, it is the zero value with the keys that are there.
func SystemMirror(ctx context.Context) (Mirror, error) {
	var m Mirror
	config, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
	case err != nil:
		return m, fmt.Errorf("read apt's configuration: apt-config dump: %w", err)
	default:
		settings := parseAptConfig(string(config))
		m.Proxy = settings["Acquire::http::Proxy"]
		etc := filepath.Join("/", settings["Dir"], settings["Dir::Etc"])
		if err := m.readSources(etc, settings["Dir::Etc::sourcelist"], settings["Dir::Etc::sourceparts"]); err != nil {
			return m, fmt.Errorf("read apt's sources: %w", err)
		}
	}
	found, err := filepath.Glob(keyrings)
	for _, k := range found {
		// Keys that were removed sign nothing any more.
		if !strings.Contains(k, "removed") && !slices.Contains(m.Keyrings, k) {
			m.Keyrings = append(m.Keyrings, k)
		}
	}
	return m, err
}

// parseAptConfig reads the settings that apt-config dump prints.
func parseAptConfig(text string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSuffix(value, ";")
		if found && len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			settings[name] = value[1 : len(value)-1]
		}
	}
	return settings
}

// readSources takes the first address of each archive, and the keyrings, from apt's sources
// (sources.list(5)). Files that are absent are passed over.
func (m *Mirror) readSources(etc, list, parts string) error {
	paths := []string{filepath.Join(etc, list)}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(etc, parts, pattern))
		if err != nil {
			return err
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		read := m.readList
		if strings.HasSuffix(path, ".sources") {
			read = m.readDeb822
		}
		err = read(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// readDeb822 reads a file with the suffix .sources.
func (m *Mirror) readDeb822(r io.Reader) error {
	return eachStanza(r, func(fields map[string]string) error {
		if strings.EqualFold(fields["Enabled"], "no") || !slices.Contains(strings.Fields(fields["Types"]), "deb") {
			return nil
		}
		for _, address := range strings.Fields(fields["URIs"]) {
			m.use(address, fields["Signed-By"])
		}
		return nil
	})
}

// readList reads a file of lines such as "deb [signed-by=FILE] URI SUITE COMPONENT".
func (m *Mirror) readList(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line, isBinary := strings.CutPrefix(strings.TrimSpace(lines.Text()), "deb ")
		if !isBinary {
			continue
		}
		signedBy := ""
		if options, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "["), "]"); found {
			line = rest
			for option := range strings.FieldsSeq(options) {
				if name, value, _ := strings.Cut(option, "="); name == "signed-by" {
					signedBy = value
				}
			}
		}
		if words := strings.Fields(line); len(words) > 0 {
			m.use(words[0], signedBy)
		}
	}
	return lines.Err()
}

// use takes an address of Debian's archive, by its path: the archive of another distribution
// has another one. The keys of a source are added when they are a keyring.
func (m *Mirror) use(address, signedBy string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	switch path := strings.TrimSuffix(u.Path, "/"); {
	case strings.HasSuffix(path, "/debian-security"):
		setIfEmpty(&m.Security, address)
	case strings.HasSuffix(path, "/debian"):
		setIfEmpty(&m.Debian, address)
	default:
		return
	}
	for k := range strings.FieldsSeq(strings.ReplaceAll(signedBy, ",", " ")) {
		if filepath.IsAbs(k) && filepath.Ext(k) == ".gpg" && !slices.Contains(m.Keyrings, k) {
			m.Keyrings = append(m.Keyrings, k)
		}
	}
}

func setIfEmpty(s *string, value string) {
	if *s == "" {
		*s = strings.TrimSuffix(value, "/")
	}
}
