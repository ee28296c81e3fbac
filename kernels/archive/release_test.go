// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func recordedRelease(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/InRelease")
	require.NoError(t, err)
	return text
}

func TestParseRelease(t *testing.T) {
	text, err := clearText(recordedRelease(t))
	require.NoError(t, err)
	r, err := parseRelease(text)
	require.NoError(t, err)
	assert.Equal(t, "bookworm", r.Codename)
	assert.Equal(t, "Sat, 11 Jul 2026 10:16:37 UTC", r.Date)
	assert.True(t, r.ByHash)
	assert.Len(t, r.Files, 3)
	assert.Equal(t, "9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5", r.Files[listOfPackages+".xz"].SHA256)

	for _, wrong := range []string{"", "Codename: x\n", "Codename: x\nSHA256:\n 12 3 a\n", string(text) + "\n" + string(text)} {
		_, err := parseRelease([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}

// TestClearText has a line that is escaped, and messages that are cut short.
func TestClearText(t *testing.T) {
	text, err := clearText([]byte(signedBegin + "Hash: SHA256\n\n- -dash\n- From: x\nlast" + signatureBegin + "\n…"))
	require.NoError(t, err)
	assert.Equal(t, "-dash\nFrom: x\nlast\n", string(text))
	for _, wrong := range []string{"", "Codename: x\n", signedBegin, signedBegin + "Hash: x\n\ntext\n"} {
		_, err := clearText([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}

func FuzzRelease(f *testing.F) {
	f.Add(recordedRelease(f))
	f.Fuzz(func(t *testing.T, inRelease []byte) {
		text, err := clearText(inRelease)
		if err != nil {
			return
		}
		if r, err := parseRelease(text); err == nil {
			assert.NotEmpty(t, r.Files)
		}
	})
}

// TestSignature has the right key, another one, a text that was changed, and no gpgv.
func TestSignature(t *testing.T) {
	signed := recordedRelease(t)
	const keyring, another = "testdata/keyring.gpg", "testdata/another.gpg"
	plain, err := clearText(signed)
	require.NoError(t, err)

	text, why, err := verified(t.Context(), signed, nil)
	require.NoError(t, err)
	assert.Equal(t, plain, text)
	assert.NotEmpty(t, why)

	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Skip("gpgv is not installed")
	}
	text, why, err = verified(t.Context(), signed, []string{another, keyring})
	require.NoError(t, err)
	assert.Equal(t, bytes.TrimSpace(plain), bytes.TrimSpace(text))
	assert.Empty(t, why)

	text, why, err = verified(t.Context(), signed, []string{another})
	require.NoError(t, err)
	assert.Equal(t, plain, text)
	assert.Equal(t, "the keyring of this machine has none of the keys that signed it", why)

	changed := bytes.Replace(signed, []byte("9e0b5aab"), []byte("9e0b5aac"), 1)
	_, _, err = verified(t.Context(), changed, []string{keyring})
	require.ErrorContains(t, err, "check the signature of the release file")

	t.Setenv("PATH", t.TempDir())
	_, why, err = verified(t.Context(), signed, []string{keyring})
	require.NoError(t, err)
	assert.Equal(t, "gpgv is not installed", why)
}

func TestJudgeSignatures(t *testing.T) {
	const good, bad, missing, expired = "[GNUPG:] GOODSIG 1 x\n", "[GNUPG:] BADSIG 1 x\n", "[GNUPG:] NO_PUBKEY 1\n", "[GNUPG:] EXPKEYSIG 1 x\n"
	for status, want := range map[string][2]bool{
		"":                {false, false},
		good:              {true, false},
		good + missing:    {true, false},
		missing:           {false, true},
		missing + expired: {false, false},
		good + bad:        {false, false},
		expired:           {false, false},
		expired + good:    {true, false},
	} {
		isGood, isUnknown := judgeSignatures(status)
		assert.Equal(t, want, [2]bool{isGood, isUnknown}, status)
	}
}
