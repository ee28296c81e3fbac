// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReleaseHas(t *testing.T) {
	const change = "6.13 6.12.10 6.1.125 5.10.234"
	for text, has := range map[string]bool{
		"5.4.300": false, "5.10.233": false, "5.10.234": true, "5.10.0-30-cloud-amd64": false, "5.15.999": false, "6.1.124": false,
		"6.1.125": true, "6.1.999": true, "6.2.1": false, "6.11.11": false, "6.12.9": false, "6.12.10+deb13-cloud-amd64": true, "6.13": true,
		"6.13.0": true, "7.0": true, "uml:6.12.10": true, "uml:6.1.46": false, "16.1.0": true,
	} {
		r, ok := parseRelease(text)
		require.True(t, ok, text)
		assert.Equal(t, has, r.has(change), text)
	}
	for _, text := range []string{"", "host", "/boot/vmlinuz-6.12", "uml:", "6", "v6.12", "qemu:6.12"} {
		_, ok := parseRelease(text)
		assert.False(t, ok, text)
	}
}

// TestReleaseOfColumn: what was found counts more than what a kernel calls itself.
func TestReleaseOfColumn(t *testing.T) {
	for _, v := range []struct {
		column Column
		wanted release
	}{
		{Column{Kernel: "6.1", Found: "6.1.192", Release: "6.1.0-56-cloud-amd64"}, release{6, 1, 192}},
		{Column{Kernel: "uml:7.2", Found: "uml:7.2.7", Release: "7.2.7"}, release{7, 2, 7}},
		{Column{Kernel: Host, Release: "6.18.44-something"}, release{6, 18, 44}},
		{Column{Kernel: "/boot/a", Found: "a", Release: "6.12.3"}, release{6, 12, 3}},
	} {
		got, ok := v.column.releaseOf()
		assert.True(t, ok)
		assert.Equal(t, v.wanted, got)
	}
	_, ok := Column{Kernel: Host}.releaseOf()
	assert.False(t, ok)
}

func TestKnownBugs(t *testing.T) {
	for name, ids := range map[string]string{
		"5.10.163": "K7 K15 K29", "5.10.173": "K15 K29", "5.10.218": "K15 K27 K29", "5.10.262": "K27 K29", "uml:5.10.46": "K15 K29",
		"6.1.170": "K17 K18", "6.1.192": "", "6.12.43": "K17 K18 K50", "6.12.85": "K17 K18", "6.12.86": "K18", "6.12.118": "", "6.16.12": "K17 K18 K50",
		"6.17.8": "K17 K18 K28", "6.18.15": "K17 K18 K28", "6.18.44": "", "6.19.6": "K17 K18 K28", "6.19.14": "K17 K18", "7.0.4": "K18", "7.0.13": "",
		"7.3.4": "", Host: "",
	} {
		var got []string
		for _, bug := range KnownBugs(name) {
			id, what, _ := strings.Cut(bug, ": ")
			assert.NotEmpty(t, what)
			got = append(got, id)
		}
		assert.Equal(t, strings.Fields(ids), append([]string{}, got...), name)
	}
	for _, b := range bugs {
		for _, between := range b.in {
			assert.Negative(t, between[0].compare(between[1]), b.id)
		}
		assert.True(t, slices.IsSortedFunc(b.in, func(a, b [2]release) int { return a[1].compare(b[0]) }), "%s: ranges do not overlap", b.id)
	}
}
