// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// lockHeader is the first line of a lock file.
const lockHeader = "# forkrig kernels: name, package, version, SHA-256, address\n"

// WriteLock writes sets as a lock file: one line for each package, with the name of its set, its
// version, its checksum and its address.
func WriteLock(w io.Writer, sets []Set) error {
	var text strings.Builder
	text.WriteString(lockHeader)
	for _, s := range sets {
		for _, p := range s.Packages {
			fmt.Fprintln(&text, s.Name, p.Name, p.Version, p.SHA256, p.URL)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// ReadLock reads a lock file. The packages of a set need not stand together.
func ReadLock(r io.Reader) ([]Set, error) {
	var sets []Set
	place := map[string]int{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 5 || !isSHA256(words[3]) || !isName(words[0]) || !strings.Contains(words[4], "://") {
			return nil, fmt.Errorf("read the lock file: line %d does not have name, package, version, SHA-256 and address", number)
		}
		i, known := place[words[0]]
		if !known {
			i = len(sets)
			place[words[0]] = i
			sets = append(sets, Set{Name: words[0]})
		}
		sets[i].Packages = append(sets[i].Packages, Package{Name: words[1], Version: words[2], SHA256: words[3], URL: words[4]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	return sets, nil
}

// isName says whether a text can be the name of a set, which becomes a part of a path.
func isName(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789.:~+-"
	return s != "" && s[0] != '.' && strings.Trim(s, allowed) == ""
}
