// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustParse(t testing.TB, written string) Dialogue {
	t.Helper()
	d, err := Parse(written)
	require.NoError(t, err)
	return d
}

func TestParse(t *testing.T) {
	for written, canonical := range map[string]string{
		`> "PING\r\n" < "+PONG\r\n"`: `round > "PING\r\n" < "+PONG\r\n"`,
		`hello < "220 " .. "\r\n" round > "NOOP\r\n" < "250 " .. "\r\n" bye > "QUIT\r\n" < "221 " .. eof`: ``,
		`> "GET / HTTP/1.0\r\n\r\n" < /HTTP\/1\.[01] 200/ .. eof`:                                         `round > "GET / HTTP/1.0\r\n\r\n" < /HTTP\/1\.[01] 200/ .. eof`,
		`> x"0000000804d2162f" < /[SN]/`:                                                                  `round > x"0000000804d2162f" < /[SN]/`,
		`< "220 ".."\r\n" > "NOOP\r\n" < "250"`:                                                           `hello < "220 " .. "\r\n" round > "NOOP\r\n" < "250"`,
		`< "SSH-" .. "\n"`:                                                                                `hello < "SSH-" .. "\n"`,
		"# a comment\nround # > \"no\"\n\t> \"a\" # the end":                                              `round > "a"`,
		`round < "tick\n"`:                                                                                `round < "tick\n"`,
		`hello < "a" bye > "b"`:                                                                           ``,
		`> "a" "b" x"0d 0A" "{n}" "c{n}"`:                                                                 `round > "ab\r\n{n}c{n}"`,
		`> "a" > "b"`:                                                                                     `round > "a" > "b"`,
		`> "a" < "b" "c"`:                                                                                 `round > "a" < "b" "c"`,
		`> "\x41\x00\x7bn}{n}\\\"\t"`:                                                                     `round > "A\x00\x7bn}{n}\\\"\t"`,
		`> "{} {m} ${n} a{3}"`:                                                                            `round > "{} {m} ${n} a{3}"`,
		`> "\x7bn}"`:                                                                                      `round > x"7b6e7d"`,
		`> "é"`:                                                                                           `round > x"c3a9"`,
		`> "a" < 4 x"ff" 12..eof`:                                                                         `round > "a" < 4 x"ff" 12 .. eof`,
		`> "a{n}" < /a{n}(b{2}|[^\r\n]+)\/"/`:                                                             `round > "a{n}" < /a{n}(b{2}|[^\r\n]+)\/"/`,
		`> "a" < /(?i)k[s-t][^k]/`:                                                                        `round > "a" < /(?i)k[s-t][^k]/`,
		`> "a" < /[^\x00-\x7f]/ /[\s\S]/ /\PL*x/`:                                                         ``,
	} {
		d, err := Parse(written)
		if written == `> "a" < /[^\x00-\x7f]/ /[\s\S]/ /\PL*x/` {
			require.ErrorContains(t, err, "a class that is not in ASCII")
			continue
		}
		require.NoError(t, err, written)
		if canonical == "" {
			canonical = written
		}
		require.Equal(t, canonical, d.String())
		require.Equal(t, d, mustParse(t, canonical))
	}
}

func TestSyntaxErrors(t *testing.T) {
	for written, wanted := range map[string]string{
		``:                                "column 1, at the end: the dialogue is empty: give steps, such as > \"PING\\r\\n\" < \"+PONG\\r\\n\", or the preset none",
		"# no\n":                          "line 2, column 1, at the end: the dialogue is empty: give steps",
		`> "PING`:                         "column 3, at `\"PING`: this text does not end on its line: write \" at its end, and \\n for a newline",
		"> \"a\n\"":                       "column 3, at `\"a`: this text does not end on its line",
		`> "a" < /a`:                      "column 9, at `/a`: this regular expression does not end on its line: write / at its end",
		`> "a\q"`:                         "column 5, at `\\q`: this is not an escape: write \\r, \\n, \\t, \\\", \\\\ or \\x and two hexadecimal digits",
		`> "a\x4"`:                        "column 5, at `\\x4`: \\x needs two hexadecimal digits: write such as \\x0a",
		`> ""`:                            "column 3, at `\"\"`: this text is empty: write at least one byte, or leave it out",
		`> x""`:                           "column 3, at `x\"\"`: these are not bytes in hexadecimal digits",
		`> x"123"`:                        "column 3, at `x\"123\"`: these are not bytes in hexadecimal digits: write two digits for each byte, such as x\"0d 0a\"",
		`> x"00`:                          "column 4, at `\"00`: this hex does not end on its line",
		`> /a/`:                           "column 3, at `/a/`: this cannot be sent: send \"text\" or x\"hex\"",
		`> 5`:                             "column 3, at `5`: this cannot be sent",
		`> "a" < .. 5`:                    "column 12, at `5`: .. has no end here: write \"text\", x\"hex\", /re/ or eof after it",
		`> "a" < .. ..`:                   "column 12, at `..`: .. has no end here",
		`> "a" < ..`:                      "column 11, at the end: .. has no end here",
		`> "a" < ... eof`:                 "column 11, at `.`: this is not part of a dialogue: write hello, round, bye, >, <, \"text\", x\"hex\", a number, /re/, .. or eof",
		`> "a" < 0`:                       "column 9, at `0`: this is not a number of bytes: give 1 to 1073741824",
		`> "a" < 99999999999999999999999`: "this is not a number of bytes",
		`> "a" < eof "b"`:                 "column 13, at `\"b\"`: nothing comes after the end of the stream: make eof the last item",
		`> "a" < eof > "b"`:               "column 13, at `>`: nothing is said after the end of the stream: make eof the last item",
		`round < eof bye > "a"`:           "column 13, at `bye`: nothing is said after the end of the stream, which the round reads: leave out the bye, or the eof",
		`hello < eof round > "a"`:         "nothing is said after the end of the stream, which the hello reads: leave out the round",
		`bye > "a" round > "b"`:           "column 11, at `round`: this word comes twice, or too late: write each of hello, round and bye once, in this order",
		`round > "a" round > "b"`:         "this word comes twice",
		`hello round > "a"`:               "column 7, at `round`: the hello has no steps: write > or < after the word, or leave it out",
		`> "a" bye > "b"`:                 "column 7, at `bye`: the steps before this word belong to no part: begin with hello or round, or leave hello, round and bye out",
		`"a"`:                             "column 1, at `\"a\"`: this item belongs to no step: write > before what is sent, and < before what must come",
		`> < "a"`:                         "column 3, at `<`: > has nothing to send: write \"text\" or x\"hex\" after it",
		`> "a" <`:                         "column 8, at the end: < has nothing to read",
		`hello < "{n}" round > "a"`:       "column 9, at `\"{n}\"`: {n} is the number of the round, and the hello has none: write it in the round, or \\x7bn} for these three characters",
		`< "{n}" > "a"`:                   "column 4, at `{n}`: this is the number of the round, and what is read before the first > is the hello: begin with the word round",
		`echo`:                            "column 1, at `echo`: this is not part of a dialogue",
		"> \"ä\"\n< foo":                  "line 2, column 3, at `foo`: this is not part of a dialogue",
		`> "ä" foo`:                       "column 7, at `foo`",
		`> "a" < /é/`:                     "at `/é/`: the regular expression is not in ASCII: match bytes above 7f as x\"hex\", or with .",
		`> "a" < /\xe9/`:                  "the regular expression has a character that is not in ASCII",
		`> "a" < /[\x80-\xff]/`:           "the regular expression has a class that is not in ASCII: write its bytes, such as [a-z]",
		`> "a" < /\pL/`:                   "a class that is not in ASCII",
		`> "a" < /^220/`:                  "^ has no meaning: a regular expression begins where the reading stands: leave it out",
		`> "a" < /220$/`:                  "$ would have to look at what follows: write the bytes that follow, such as \\r\\n, or eof after the regular expression",
		`> "a" < /220\b/`:                 "\\b and \\B would have to look at what follows",
		`> "a" < /a*/`:                    "the regular expression matches without a byte, so it checks nothing: write + in place of *, or leave it out",
		`> "a" < //`:                      "the regular expression matches without a byte",
		`> "a" < /[^\x00-\x{10FFFF}]/`:    "a class without a character: write one in it",
		`> "a" < /(/`:                     "at `/(/`: the regular expression is wrong: missing closing ): `(`: write it as in RE2; a slash in it is \\/",
		`> "a" < /[{n}]/`:                 "{n} stands where a number has no place: write it outside of classes and escapes",
		`> "a" < /\Qa{n}\E/`:              "\\Q has no meaning here: write \\ before each character that stands for itself",
		`> "a" < /(abcdefghijklm){999}/`:  "the regular expression is too large: repeat less, or read a number of bytes",
	} {
		d, err := Parse(written)
		assert.ErrorContains(t, err, wanted, written)
		assert.True(t, errors.As(err, new(*SyntaxError)), written)
		assert.Zero(t, d)
	}
}

func TestSyntaxErrorsShortenWhatIsWrong(t *testing.T) {
	_, err := Parse(`> "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz`)
	assert.ErrorContains(t, err, "at `\"abcdefghijklmnopqrstuvwxyzabcde…`: ")
}

func FuzzParse(f *testing.F) {
	for _, s := range presets() {
		f.Add(s.Dialogue.String())
	}
	f.Add(`< 3 x"00" .. /a{n}+|b/ > "{n}\x7bn}" # c`)
	f.Fuzz(func(t *testing.T, written string) {
		d, err := Parse(written)
		if err != nil {
			require.True(t, errors.As(err, new(*SyntaxError)))
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := Parse(d.String())
		require.NoError(t, err, d.String())
		require.Equal(t, d, again)
		require.Equal(t, d.String(), again.String())
		d.Abilities()
		for _, part := range d.parts() {
			for _, s := range part.steps {
				if s.Sends() {
					require.NotEmpty(t, s.Bytes(12))
				} else {
					_, _, _ = NewMatcher(s, 12, 0).Feed([]byte(written))
				}
			}
		}
	})
}
