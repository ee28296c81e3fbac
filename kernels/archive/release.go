// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// release is what a suite's release file says.
type release struct {
	Codename string
	Date     string
	ByHash   bool             // files may be asked for by their checksum
	Files    map[string]entry // by path below the suite
}

// entry is one file that a release file names.
type entry struct{ SHA256 string }

// parseRelease reads the fields of a release file, without its signature.
func parseRelease(text []byte) (release, error) {
	r := release{Files: map[string]entry{}}
	stanzas := 0
	err := eachStanza(bytes.NewReader(text), func(fields map[string]string) error {
		stanzas++
		r.Codename, r.Date = fields["Codename"], fields["Date"]
		r.ByHash = fields["Acquire-By-Hash"] == "yes"
		for line := range strings.SplitSeq(strings.TrimSpace(fields["SHA256"]), "\n") {
			words := strings.Fields(line)
			if len(words) != 3 || !isSHA256(words[0]) {
				return fmt.Errorf("no checksum, size and path: %.80q", line)
			}
			r.Files[words[2]] = entry{words[0]}
		}
		return nil
	})
	switch {
	case err != nil:
		return release{}, fmt.Errorf("read the release file: %w", err)
	case stanzas != 1 || len(r.Files) == 0:
		return release{}, fmt.Errorf("read the release file: %d stanzas with %d files", stanzas, len(r.Files))
	}
	return r, nil
}

const (
	signedBegin    = "-----BEGIN PGP SIGNED MESSAGE-----\n"
	signatureBegin = "\n-----BEGIN PGP SIGNATURE-----"
)

// clearText returns what an InRelease file says, without a look at its signature (RFC 9580
// section 7).
func clearText(inRelease []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(inRelease, []byte(signedBegin))
	if !found {
		return nil, errors.New("the release file does not begin as a signed message does")
	}
	_, rest, found = bytes.Cut(rest, []byte("\n\n")) // the headers, such as Hash
	if !found {
		return nil, errors.New("the release file has no text")
	}
	text, _, found := bytes.Cut(rest, []byte(signatureBegin))
	if !found {
		return nil, errors.New("the release file has no signature: it may be cut short")
	}
	text = append(text[:len(text):len(text)], '\n')
	return bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("- ")), []byte("\n- "), []byte("\n")), nil
}
