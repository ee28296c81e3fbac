// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deb makes a package of files. A text that begins with "->" is a link.
func deb(t *testing.T, files map[string]string) []byte {
	t.Helper()
	packed := func(files map[string]string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		var paths []string
		for path := range files {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		for _, path := range paths {
			h := &tar.Header{Name: "./" + path, Mode: 0o755, Size: int64(len(files[path])), Typeflag: tar.TypeReg}
			if target, isLink := strings.CutPrefix(files[path], "->"); isLink {
				h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
			}
			require.NoError(t, w.WriteHeader(h))
			if h.Size > 0 {
				_, err := w.Write([]byte(files[path]))
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.Close())
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	b := bytes.NewBufferString(arMagic)
	for _, member := range []struct {
		name string
		data []byte
	}{
		{"debian-binary", []byte("2.0\n")},
		{"control.tar.gz", packed(map[string]string{"control": "Package: x\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n"})},
		{"data.tar.gz", packed(files)},
	} {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, 0, 0, 0, "100644", len(member.data))
		b.Write(member.data)
		if len(member.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func sha(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// served is an archive on a server of the test.
type served struct {
	*Archive
	mu    sync.Mutex
	files map[string][]byte // by path
	asked []string
}

func serve(t *testing.T) *served {
	s := &served{files: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.Path)
		if data, found := s.files[r.URL.Path]; found {
			w.Write(data)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	s.Archive = &Archive{Cache: filepath.Join(t.TempDir(), "cache"), Mirror: Mirror{Debian: server.URL + "/debian", Security: server.URL + "/debian-security", Proxy: "DIRECT"}}
	return s
}

// add puts a package into the pool and returns its stanza.
func (s *served) add(name, version, depends string, data []byte) string {
	path := "pool/" + name + "_" + version + ".deb"
	s.files["/debian/"+path] = data
	return fmt.Sprintf("Package: %s\nVersion: %s\nDepends: %s\nFilename: %s\nSHA256: %s\n\n", name, version, depends, path, sha(data))
}

// publish makes the release file and the list of packages of a suite.
func (s *served) publish(suite, packages string) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(packages))
	w.Close()
	top := "/debian/dists/" + suite + "/"
	s.files[top+listOfPackages+".gz"] = z.Bytes()
	s.files[top+"InRelease"] = []byte(signedBegin + "Hash: SHA256\n\nCodename: " + suite + "\nDate: today\nSHA256:\n " +
		sha([]byte(packages)) + " 1 " + listOfPackages + "\n " + sha(z.Bytes()) + " 1 " + listOfPackages + ".gz" + signatureBegin + "\n")
}

func (s *served) timesAsked(suffix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, path := range s.asked {
		if strings.HasSuffix(path, suffix) {
			n++
		}
	}
	return n
}

func TestFetch(t *testing.T) {
	s := serve(t)
	list := s.add("linux-image-6.12.43+deb12-cloud-amd64", "6.12.43-1", "kmod", deb(t, map[string]string{
		"boot/vmlinuz-6.12.43": "image", "boot/config-6.12.43": "CONFIG_X=y", "boot/System.map-6.12.43": "map", "lib/modules/6.12.43/kernel/veth.ko": "veth",
		"usr/share/doc/linux/copyright": "text",
	}))
	list += s.add("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1", "linux-binary-7.3.4+deb13-cloud-amd64, linux-modules-7.3.4+deb13-cloud-amd64", deb(t, nil))
	list += s.add("linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1", "", deb(t, map[string]string{"usr/lib/modules/7.3.4/vmlinuz": "image 7.3"}))
	list += s.add("linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1", "", deb(t, map[string]string{"usr/lib/modules/7.3.4/kernel/veth.ko": "veth"}))
	list += s.add("user-mode-linux", "7.2um1", "libc6", deb(t, map[string]string{"usr/bin/linux.uml": "uml", "usr/lib/uml/modules/7.2.7/kernel/veth.ko": "veth"}))
	list += s.add("libc6", "2.41-1", "", deb(t, map[string]string{
		"usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "loader", "lib64/ld-linux-x86-64.so.2": "->/nowhere",
	}))
	s.publish("trixie", list)

	x, err := s.Index(t.Context())
	require.ErrorContains(t, err, "read the index of bullseye-security: get ", "the other suites are not there")
	require.Len(t, x.Suites, 1)
	assert.Equal(t, "Debian's keyring is not installed (package debian-archive-keyring)", withoutGPGV(x.Suites[0].Unverified))
	_, err = s.Kernel("6.12")
	require.EqualError(t, err, "kernel 6.12 is not in "+s.Cache+": forkrig kernels fetch 6.12")

	for _, name := range []string{"7.3", "6.12", "uml:7.2"} {
		set, err := x.Find(name)
		require.NoError(t, err)
		require.NoError(t, s.Fetch(t.Context(), set))
		require.NoError(t, s.Fetch(t.Context(), set), "again")
	}
	assert.Equal(t, 1, s.timesAsked("user-mode-linux_7.2um1.deb"))
	kernels, err := s.Kernels()
	require.NoError(t, err)
	assert.Equal(t, []string{"6.12.43", "7.3.4", "uml:7.2"}, names(kernels, func(k Kernel) string { return k.Name }))
	content := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "image", content(kernels[0].Image))
	assert.Equal(t, "CONFIG_X=y", content(kernels[0].Config))
	assert.Equal(t, "image 7.3", content(kernels[1].Image))
	assert.Equal(t, "uml", content(kernels[2].Image))
	for _, k := range kernels {
		assert.Equal(t, "veth", content(filepath.Join(k.Modules, "kernel/veth.ko")))
		assert.NoFileExists(t, filepath.Join(filepath.Dir(k.Image), "System.map-6.12.43"))
	}
	assert.Equal(t, "loader", content(kernels[2].Libraries.Loader))
	assert.Equal(t, Libraries{}, kernels[0].Libraries)
	_, err = s.QEMU()
	require.ErrorIs(t, err, os.ErrNotExist)

	// The list that has not changed comes from the cache.
	again, err := s.Index(t.Context())
	require.Error(t, err)
	assert.Equal(t, x, again)
	assert.Equal(t, 1, s.timesAsked(listOfPackages+".gz"))

	// A newer build of a kernel takes the place of the older one.
	s.publish("trixie", s.add("linux-image-6.12.43+deb12-cloud-amd64", "6.12.43-2", "", deb(t, map[string]string{
		"boot/vmlinuz-6.12.43": "newer", "lib/modules/6.12.43/kernel/veth.ko": "veth",
	})))
	x, err = s.Index(t.Context())
	require.Error(t, err)
	set, err := x.Find("6.12.43")
	require.NoError(t, err)
	require.NoError(t, s.Fetch(t.Context(), set))
	k, err := s.Kernel("6.12")
	require.NoError(t, err)
	assert.Equal(t, "newer", content(k.Image))
	entries, err := filepath.Glob(filepath.Join(s.Cache, "*"))
	require.NoError(t, err)
	assert.Len(t, entries, 4, "three kernels and the index: %v", entries)

	// The lock file of what is there fetches it into another cache, without an index.
	sets, err := s.Fetched()
	require.NoError(t, err)
	s.Cache = filepath.Join(t.TempDir(), "other")
	for _, set := range sets {
		require.NoError(t, s.Fetch(t.Context(), set))
	}
	k, err = s.Kernel("6.12")
	require.NoError(t, err)
	assert.Equal(t, "newer", content(k.Image))
}

// withoutGPGV is the same reason on a machine that has no gpgv.
func withoutGPGV(why string) string {
	return strings.Replace(why, "gpgv is not installed", "Debian's keyring is not installed (package debian-archive-keyring)", 1)
}

// TestFetchThatFails leaves nothing behind.
func TestFetchThatFails(t *testing.T) {
	s := serve(t)
	s.files["/debian/x.deb"] = []byte("no package")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		path string
		sum  string
		want string
	}{
		"absent":    {t.Context(), "absent.deb", sum(1), "the archive has removed this build"},
		"changed":   {t.Context(), "x.deb", sum(1), "its SHA-256 is "},
		"no deb":    {t.Context(), "x.deb", sha(s.files["/debian/x.deb"]), "unpack "},
		"cancelled": {cancelled, "x.deb", sum(1), "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Fetch(c.ctx, Set{Name: "1.2.3", Packages: []Package{{Name: "x", Version: "1", SHA256: c.sum, URL: debianURL + "/" + c.path}}})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "fetch 1.2.3: ")
			left, err := filepath.Glob(filepath.Join(s.Cache, "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
	require.Error(t, s.Fetch(t.Context(), Set{Name: "../x", Packages: []Package{{}}}))
	require.Error(t, s.Fetch(t.Context(), Set{Name: "1.2.3"}))
}

// TestUnpackWithoutDpkg reads a package without dpkg-deb, and no file gets out of its directory.
func TestUnpackWithoutDpkg(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "x.deb")
	all := func(string) bool { return true }
	unpacked := func(files map[string]string) (string, error) {
		require.NoError(t, os.WriteFile(path, deb(t, files), 0o600))
		root := filepath.Join(t.TempDir(), "root")
		require.NoError(t, os.Mkdir(root, 0o755))
		return root, unpack(t.Context(), path, root, all)
	}
	root, err := unpacked(map[string]string{"usr/bin/x": "program", "usr/bin/y": "->x"})
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "usr/bin/y"))
	require.NoError(t, err)
	assert.Equal(t, "program", string(text))

	for _, files := range []map[string]string{{"../outside": "x"}, {"a": "->..", "a/outside": "x"}} {
		root, err := unpacked(files)
		require.Error(t, err)
		assert.NoFileExists(t, filepath.Join(filepath.Dir(root), "outside"))
	}
	require.NoError(t, os.WriteFile(path, deb(t, map[string]string{"x": "y"})[:100], 0o600))
	require.Error(t, unpack(t.Context(), path, dir, all))
}
