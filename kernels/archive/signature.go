// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// verified returns the text of an InRelease file. Where gpgv and a keyring are, the text is what
// a key of the keyrings has signed; a wrong signature is an error. Otherwise why says what kept
// the signature from being checked.
func verified(ctx context.Context, inRelease []byte, keyrings []string) (text []byte, why string, err error) {
	why, err = "", nil
	gpgv, lookErr := exec.LookPath("gpgv")
	switch {
	case lookErr != nil:
		why = "gpgv is not installed"
	case len(keyrings) == 0:
		why = "Debian's keyring is not installed (package debian-archive-keyring)"
	}
	if why != "" {
		text, err = clearText(inRelease)
		return text, why, err
	}
	return gpgvText(ctx, gpgv, inRelease, keyrings)
}

// gpgvText has gpgv check the signatures. It returns the text as gpgv has read it, so that both
// mean the same bytes.
func gpgvText(ctx context.Context, gpgv string, inRelease []byte, keyrings []string) (text []byte, why string, err error) {
	dir, err := os.MkdirTemp("", "forkrig-gpgv-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	file, output := filepath.Join(dir, "InRelease"), filepath.Join(dir, "Release")
	if err := os.WriteFile(file, inRelease, 0o600); err != nil {
		return nil, "", err
	}
	args := []string{"--homedir", dir, "--status-fd", "1", "--output", output}
	for _, k := range keyrings {
		args = append(args, "--keyring", k)
	}
	cmd := exec.CommandContext(ctx, gpgv, append(args, file)...)
	var status, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &status, &complaint
	runErr := cmd.Run() // it fails where one of several keys is unknown
	good, unknown := judgeSignatures(status.String())
	switch {
	case ctx.Err() != nil:
		return nil, "", ctx.Err()
	case good:
		text, err = os.ReadFile(output)
		return text, "", err
	case unknown:
		text, err = clearText(inRelease)
		return text, "the keyring of this machine has none of the keys that signed it", err
	case runErr == nil:
		runErr = errors.New("gpgv names no good signature")
	}
	return nil, "", fmt.Errorf("check the signature of the release file: %w: %s", runErr, strings.TrimSpace(complaint.String()))
}

// judgeSignatures reads what gpgv reports (doc/DETAILS of GnuPG). The text is good where a key
// that has not expired has signed it and no signature is bad; unknown where no key is known.
func judgeSignatures(status string) (good, unknown bool) {
	counts := map[string]int{}
	for line := range strings.Lines(status) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "[GNUPG:]" {
			counts[words[1]]++
		}
	}
	known := counts["GOODSIG"] + counts["BADSIG"] + counts["EXPSIG"] + counts["EXPKEYSIG"] + counts["REVKEYSIG"]
	return counts["GOODSIG"] > 0 && counts["BADSIG"] == 0, counts["NO_PUBKEY"] > 0 && known == 0
}
