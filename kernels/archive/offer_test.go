// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sum is a checksum that differs by a number.
func sum(n int) string {
	return strings.Repeat("0", 62) + string("0123456789abcdef"[n/16]) + string("0123456789abcdef"[n%16])
}

// recordedIndex has the recorded packages, a kernel that is split, and two builds of one
// release.
func recordedIndex(t *testing.T) *Index {
	image := func(name, version string, depends ...string) pkg {
		return pkg{Name: name, Version: version, Depends: depends, Filename: "pool/" + name + ".deb", SHA256: sum(1)}
	}
	return &Index{[]Suite{
		{Name: "bookworm", packages: wanted(recordedPackages(t))},
		{Name: "trixie-backports", packages: []pkg{
			image("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", "linux-base", "linux-binary-7.3.4+deb13-cloud-amd64",
				"linux-modules-7.3.4+deb13-cloud-amd64", "linux-base-7.3.4+deb13-cloud-amd64"),
			image("linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
			image("linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
			image("linux-image-6.1.0-50-cloud-amd64", "6.1.176-2"),
		}},
	}}
}

func TestKernels(t *testing.T) {
	x := recordedIndex(t)
	all := x.Kernels()
	assert.Equal(t, []string{"6.1.170", "6.1.176", "7.3.4", "uml:6.1.176"}, names(all, func(s Set) string { return s.Name }))
	assert.Equal(t, "6.1.176-2", all[1].Packages[0].Version, "the newer build")
	assert.Equal(t, []string{"user-mode-linux", "libc6", "libgcc-s1"}, names(all[3].Packages, func(p Package) string { return p.Name }))
	assert.Equal(t, "http://deb.debian.org/debian/pool/main/u/user-mode-linux/user-mode-linux_6.1um4+b13_amd64.deb", all[3].Packages[0].URL)

	for name, want := range map[string]string{
		"6.1": "6.1.176", "6.1.170": "6.1.170", "7": "7.3.4", "uml:6.1": "uml:6.1.176", "uml:6.1.176": "uml:6.1.176",
	} {
		k, err := x.Find(name)
		require.NoError(t, err, name)
		assert.Equal(t, want, k.Name, name)
	}
	split, err := x.Find("7.3")
	require.NoError(t, err)
	assert.Len(t, split.Packages, 3)
	assert.Equal(t, []string{"linux-base-7.3.4+deb13-cloud-amd64"}, split.Lacks)
	_, err = x.Find("6.1.17")
	require.EqualError(t, err, "the archive has no kernel 6.1.17: it has 6.1.170, 6.1.176, 7.3.4, uml:6.1.176")
	_, err = x.Find(QEMUName)
	require.Error(t, err)
}

func TestNameOf(t *testing.T) {
	for want, p := range map[string]pkg{
		"6.12.43":     {Name: "linux-image-6.12.43+deb12-cloud-amd64", Version: "6.12.43-1~bpo12+1"},
		"5.10.218":    {Name: "linux-image-5.10.0-30-cloud-amd64", Version: "5.10.218-1"},
		"uml:7.2.7":   {Name: umlPackage, Version: "7.2um1+b3", BuiltUsing: "gcc (= 14), linux (= 7.2.7-1)"},
		"uml:5.10.46": {Name: umlPackage, Version: "5.10um3", BuiltUsing: "linux-source-5.10 (= 5.10.46-5)"},
		"uml:5.10":    {Name: umlPackage, Version: "5.10um3"},
	} {
		assert.Equal(t, want, nameOf(p))
	}
	for _, name := range []string{"linux-image-cloud-amd64", "linux-image-6.1.0-50-amd64", "linux-image-6.1.0-50-cloud-amd64-dbg", "linux-headers-6.1.0-50-cloud-amd64"} {
		assert.Empty(t, nameOf(pkg{Name: name, Version: "6.1.176-1"}), name)
	}
}

func TestClosure(t *testing.T) {
	all := []pkg{
		{Name: "a", Version: "1", Depends: []string{"b", "virtual", "nowhere"}},
		{Name: "b", Version: "1", Depends: []string{"a", "c"}},
		{Name: "b", Version: "2", Depends: []string{"d"}},
		{Name: "c", Version: "1"},
		{Name: "d", Version: "1", Depends: []string{"c"}},
		{Name: "e", Version: "1", Provides: []string{"virtual"}},
	}
	name := func(p pkg) string { return p.Name + p.Version }
	assert.Equal(t, []string{"a1", "b2", "c1", "d1", "e1"}, names(closure(all, []string{"a"}, nil), name))
	assert.Equal(t, []string{"a1", "e1"}, names(closure(all, []string{"a"}, []string{"b"}), name))
}

func TestLock(t *testing.T) {
	var text strings.Builder
	sets := recordedIndex(t).Kernels()
	require.NoError(t, WriteLock(&text, sets))
	for i := range sets {
		sets[i].Lacks = nil
	}
	again, err := ReadLock(strings.NewReader("\n" + text.String()))
	require.NoError(t, err)
	assert.Equal(t, sets, again)
	for _, wrong := range []string{"a b c\n", "../x p 1 " + sum(1) + " http://x\n", "a p 1 " + sum(1) + " x\n", "a p 1 1 http://x\n"} {
		_, err := ReadLock(strings.NewReader(wrong))
		assert.Error(t, err, wrong)
	}
}

func FuzzReadLock(f *testing.F) {
	f.Add(lockHeader + "uml:7.2.7 user-mode-linux 7.2um1 " + sum(1) + " http://deb.debian.org/debian/x.deb\n")
	f.Fuzz(func(t *testing.T, text string) {
		sets, err := ReadLock(strings.NewReader(text))
		if err != nil {
			return
		}
		var written strings.Builder
		require.NoError(t, WriteLock(&written, sets))
		again, err := ReadLock(strings.NewReader(written.String()))
		require.NoError(t, err)
		assert.Equal(t, sets, again)
	})
}
