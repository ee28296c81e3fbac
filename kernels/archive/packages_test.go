// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func recordedPackages(t *testing.T) []pkg {
	t.Helper()
	f, err := os.Open("testdata/Packages")
	require.NoError(t, err)
	defer f.Close()
	all, err := parsePackages(f, nil)
	require.NoError(t, err)
	return all
}

func names[T any](all []T, name func(T) string) []string {
	var result []string
	for _, one := range all {
		result = append(result, name(one))
	}
	return result
}

func TestParsePackages(t *testing.T) {
	all := recordedPackages(t)
	require.Len(t, all, 7)
	assert.Equal(t, pkg{
		Name: "libgcc-s1", Version: "12.2.0-14+deb12u1",
		Depends: []string{"gcc-12-base", "libc6"}, Provides: []string{"libgcc1"},
		Filename: "pool/main/g/gcc-12/libgcc-s1_12.2.0-14+deb12u1_amd64.deb",
		SHA256:   "3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7",
	}, all[1])
	assert.Equal(t, []string{"kmod", "linux-base", "initramfs-tools"}, all[2].Depends)
	assert.Equal(t, "linux (= 6.1.176-1)", all[6].BuiltUsing)

	for _, wrong := range []string{"Package: a\n", " goes on\n", "no field\n", "Package: a\nVersion: 1\nFilename: f\nSHA256: 12\n"} {
		_, err := parsePackages(strings.NewReader(wrong), nil)
		assert.Error(t, err, wrong)
	}
}

func FuzzParsePackages(f *testing.F) {
	recorded, err := os.ReadFile("testdata/Packages")
	require.NoError(f, err)
	f.Add(string(recorded))
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parsePackages(strings.NewReader(text), nil)
		if err != nil {
			return
		}
		for _, p := range all {
			assert.NotEmpty(t, p.Name)
			assert.True(t, isSHA256(p.SHA256))
		}
		closure(all, []string{"libc6"}, nil)
		(&Index{[]Suite{{Name: "x", packages: all}}}).Kernels()
	})
}

func TestRelations(t *testing.T) {
	assert.Equal(t, []string{"a", "b", "c", "python3"}, relations("a (>= 1), b | x (= 2) , c [amd64], python3:any"))
	assert.Empty(t, relations(" , "))
}

// TestVersions has versions in their order (deb-version(7)).
func TestVersions(t *testing.T) {
	ordered := []string{
		"6.1.9-1", "6.1.10-1", "6.1.170-1~bpo11+1", "6.1.170-1", "6.1.170-1+b1", "6.1.170-1.1", "6.12.43-1~bpo12+1", "6.12.43-1",
		"7.3~rc7-1~exp1", "7.3-1", "7.3.4-1", "1:0.1-1", "1:7.2+dfsg-7+deb12u18", "1:7.2+dfsg-7+deb12u18+b3", "1:10.0-1",
	}
	for i, a := range ordered {
		assert.Zero(t, compareVersions(a, a), a)
		for _, b := range ordered[i+1:] {
			assert.Negative(t, compareVersions(a, b), "%s before %s", a, b)
			assert.Positive(t, compareVersions(b, a), "%s after %s", b, a)
		}
	}
	assert.Zero(t, compareVersions("1.0", "1.0-0"))
	assert.Zero(t, compareVersions("01.00-1", "1.0-1"))
}
