// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// release is a version of Linux, such as 6.12.43.
type release struct{ major, minor, patch int }

var releaseWords = regexp.MustCompile(`^(?:uml:)?(\d+)\.(\d+)(?:\.(\d+))?`)

// parseRelease reads the begin of a text such as "6.12.43+deb12-cloud-amd64" or "uml:7.2.7".
func parseRelease(text string) (r release, ok bool) {
	words := releaseWords.FindStringSubmatch(text)
	if words == nil {
		return r, false
	}
	r.major, _ = strconv.Atoi(words[1])
	r.minor, _ = strconv.Atoi(words[2])
	r.patch, _ = strconv.Atoi(words[3]) // 0 where there is none
	return r, true
}

// releaseOf returns the release of a column. The name of what was found comes first: some
// distributions call all builds of a series by one number, such as 6.1.0.
func (c Column) releaseOf() (release, bool) {
	if r, ok := parseRelease(c.Name()); ok {
		return r, true
	}
	return parseRelease(c.Release)
}

func (r release) compare(other release) int {
	return cmp.Or(cmp.Compare(r.major, other.major), cmp.Compare(r.minor, other.minor), cmp.Compare(r.patch, other.patch))
}

// has says whether a change that came with the first of these releases, and with the others as
// updates of older series, is in a release.
func (r release) has(change string) bool {
	for i, text := range strings.Fields(change) {
		since, _ := parseRelease(text)
		if i == 0 && r.compare(since) >= 0 || r.major == since.major && r.minor == since.minor && r.patch >= since.patch {
			return true
		}
	}
	return false
}
