// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// result is what must not depend on how a stream is cut.
type result struct {
	consumed  int
	done      bool
	reason    Reason
	wanted    string
	from, at  int
	cameFirst string // what came up to the first wrong byte
}

// match feeds a stream that ends to a step. cut says how long the next piece is.
func match(t testing.TB, step Step, limit int, stream string, cut func() int) result {
	t.Helper()
	m := NewMatcher(step, 7, limit)
	var r result
	var err error
	rest := []byte(stream)
	for !r.done && err == nil && len(rest) > 0 {
		var n int
		piece := rest[:min(cut(), len(rest))]
		n, r.done, err = m.Feed(piece)
		require.True(t, r.done || err != nil || n == len(piece), "all bytes are taken while the reply is incomplete")
		r.consumed += n
		rest = rest[n:]
	}
	if !r.done && err == nil {
		err = m.End()
		r.done = m.Done()
	}
	if err == nil {
		require.Equal(t, r.consumed, m.Read())
		require.True(t, r.done)
		return r
	}
	var e *ReplyError
	require.True(t, errors.As(err, &e))
	require.LessOrEqual(t, len(e.Came), maxCame+1)
	require.NotContains(t, err.Error(), "\n")
	require.LessOrEqual(t, e.From, e.At)
	require.True(t, strings.HasPrefix(stream[e.From:], string(e.Came)))
	r.reason, r.wanted, r.from, r.at = e.Reason, e.Wanted, e.From, e.At
	r.cameFirst = string(e.Came[:min(len(e.Came), e.At-e.From+1)])
	if e.Reason != Different {
		r.cameFirst = string(e.Came)
	}
	return r
}

func whole() int    { return 1 << 20 }
func bytewise() int { return 1 }

// reading returns the step that reads these items.
func reading(t testing.TB, items string) Step {
	t.Helper()
	return mustParse(t, `round > "{n}" < `+items).Round[1]
}

func TestMatcher(t *testing.T) {
	ok := func(consumed int) result { return result{consumed: consumed, done: true} }
	for _, c := range []struct {
		items, stream string
		want          result
	}{
		{`"220 "`, "220 hello", ok(4)},
		{`"220 " .. "\r\n"`, "220 a\rb\nc\r\r\nmore", ok(12)},
		{`.. "aab"`, "aaab", ok(4)},
		{`.. "abab" "c"`, "ababab", result{consumed: 4, reason: Different, wanted: `"c"`, from: 4, at: 4, cameFirst: "a"}},
		{`"a{n}" .. x"00ff"`, "a7\x00\x00\xff", ok(5)},
		{`3 "x"`, "abcx", ok(4)},
		{`3 "x"`, "ab", result{consumed: 2, reason: EndedEarly, wanted: "3", at: 2, cameFirst: "ab"}},
		{`"ok" eof`, "ok", ok(2)},
		{`"ok" .. eof`, "ok", ok(2)},
		{`"ok" .. eof`, "ok and more", ok(11)},
		{`"ok" eof`, "okay", result{consumed: 2, reason: Different, wanted: "the end of the stream", from: 2, at: 2, cameFirst: "a"}},
		{`"250 " .. "\r\n"`, "25", result{consumed: 2, reason: EndedEarly, wanted: `"250 "`, at: 2, cameFirst: "25"}},
		{`"250 " .. "\r\n"`, "250 x", result{consumed: 5, reason: EndedEarly, wanted: `.. "\r\n"`, from: 4, at: 5, cameFirst: "x"}},
		{`"250 "`, "252 no", result{consumed: 2, reason: Different, wanted: `"250 "`, at: 2, cameFirst: "252"}},
		{`"250 "`, "", result{reason: EndedEarly, wanted: `"250 "`}},
		{`/[SN]/`, "Sxyz", ok(1)},
		{`/a+/`, "aaa", ok(1)},
		{`/a+b|ac/`, "aac", result{consumed: 2, reason: Different, wanted: "/a+b|ac/", at: 2, cameFirst: "aac"}},
		{`/a+b|aac/`, "aac", ok(3)},
		{`.. /[0-9]+ (ok|no)/`, "12 12 ok", ok(8)},
		{`.. /b|abc/`, "abc", ok(2)},
		{`/m{n}{2}\r\n/`, "m77\r\n", ok(5)},
		{`/m({n}|x)+;/`, "m7x7;", ok(5)},
		{`/m{n}/`, "m8", result{consumed: 1, reason: Different, wanted: "/m7/", at: 1, cameFirst: "m8"}},
		{`/(?i)kelvin[^k]./`, "KELVIN\xff\x80", ok(8)},
		{`/(?i)[ks]+;/`, "kKsS;", ok(5)},
		{`/[^a]{2}/`, "\xe2\x84", ok(2)},
		{`/[^a]/`, "a", result{reason: Different, wanted: "/[^a]/", cameFirst: "a"}},
		{`"a" /(?s)./ eof`, "a\n", ok(2)},
		{`"a" /./`, "a\n", result{consumed: 1, reason: Different, wanted: "/./", from: 1, at: 1, cameFirst: "\n"}},
		{`.. "\n"`, "01234567890123456789x", result{consumed: 20, reason: TooLong, wanted: `.. "\n"`, at: 20, cameFirst: "01234567890123456789"}},
		{`.. "\n"`, "0123456789012345678\n", ok(20)},
		{`/[0-9]+x/`, "01234567890123456789x", result{consumed: 20, reason: TooLong, wanted: `/[0-9]+x/`, at: 20, cameFirst: "01234567890123456789"}},
		{`.. eof`, "012345678901234567890123456789", result{consumed: 20, reason: TooLong, wanted: "the end of the stream", at: 20, cameFirst: "01234567890123456789"}},
		{`30`, "012345678901234567890123456789", ok(30)},
	} {
		step := reading(t, c.items)
		require.Equal(t, c.want, match(t, step, 20, c.stream, whole), "%s of %q", c.items, c.stream)
		if len(c.stream) > 12 {
			require.Equal(t, c.want, match(t, step, 20, c.stream, bytewise), "%s of %q", c.items, c.stream)
			continue
		}
		for cuts := range 1 << max(len(c.stream)-1, 0) { // bit i cuts after byte i
			at := 0
			got := match(t, step, 20, c.stream, func() int {
				from := at
				for at++; at < len(c.stream) && cuts>>(at-1)&1 == 0; at++ {
				}
				return at - from
			})
			require.Equal(t, c.want, got, "%s of %q cut as %b", c.items, c.stream, cuts)
		}
	}
}

func TestReplyErrors(t *testing.T) {
	for _, c := range []struct{ items, stream, message string }{
		{`"250 "`, "252 no\r\n", `from byte 0 of the reply "252 no\r\n" came instead of "250 "; byte 2 differs`},
		{`"25" eof`, "25\x00", `from byte 2 of the reply "\x00" came instead of the end of the stream; byte 2 differs`},
		{`"250 " .. "\n"`, "250 go", `the stream ended after 6 bytes of the reply: from byte 4 "go" came instead of .. "\n"`},
		{`"250 "`, "", `the stream ended after 0 bytes of the reply: from byte 0 nothing came instead of "250 "`},
		{`"a" .. "\n"`, "a" + strings.Repeat("b", 200), `.. "\n" did not come within 100 bytes, which is the limit of .. and of a regular expression: from byte 1 "` +
			strings.Repeat("b", 64) + `"… came`},
		{`"a"`, strings.Repeat("b", 64), `from byte 0 of the reply "` + strings.Repeat("b", 64) + `" came instead of "a"; byte 0 differs`},
		{`"a"`, strings.Repeat("b", 65), `from byte 0 of the reply "` + strings.Repeat("b", 64) + `"… came instead of "a"; byte 0 differs`},
	} {
		m := NewMatcher(reading(t, c.items), 1, 100)
		_, _, err := m.Feed([]byte(c.stream))
		if err == nil {
			err = m.End()
		}
		require.EqualError(t, err, c.message)
		_, done, again := m.Feed([]byte("250 \n"))
		require.False(t, done)
		require.Equal(t, err, again, "an error stays")
		require.Equal(t, err, m.End())
		require.Equal(t, err, m.Abort(os.ErrDeadlineExceeded))
	}
	m := NewMatcher(reading(t, `"250 "`), 1, 0)
	_, _, err := m.Feed([]byte("25"))
	require.NoError(t, err)
	err = m.Abort(os.ErrDeadlineExceeded)
	require.EqualError(t, err, `"250 " did not come; from byte 0 of the reply "25" came: i/o timeout`)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// FuzzCuts feeds a stream as a whole, byte by byte, and in pieces of random sizes.
func FuzzCuts(f *testing.F) {
	for _, items := range []string{`"220 " .. "\r\n"`, `/(220-[^\n]*\n)*220 [^\n]*\n/ "x"`, `3 .. /a+b|ac/ eof`, `.. "aab" .. eof`, `"m{n}" /{n}+;/`} {
		for _, stream := range []string{"220-a\n220 b\r\nx", "aaaaaab", "m777;"} {
			f.Add(items, stream, uint64(1), uint8(50))
		}
	}
	f.Fuzz(func(t *testing.T, items, stream string, seed uint64, limit uint8) {
		d, err := Parse("round < " + items)
		if err != nil {
			return
		}
		for _, step := range d.Round {
			if step.Sends() {
				continue
			}
			random := rand.New(rand.NewPCG(seed, 0))
			want := match(t, step, int(limit), stream, whole)
			require.Equal(t, want, match(t, step, int(limit), stream, bytewise))
			require.Equal(t, want, match(t, step, int(limit), stream, func() int { return 1 + random.IntN(4) }))
		}
	})
}

// FuzzPattern compares the end of a match with that of the shortest prefix that package regexp
// matches as a whole.
func FuzzPattern(f *testing.F) {
	for _, source := range []string{`a+b|ac`, `(a|ab)(c|bcd)`, `[^b]{2,3}`, `(?i)k[^s]+;`, `x*?y`, `(?s).+\n.`, `(220-[^\n]*\n)*220[ \r][^\n]*\n`} {
		f.Add(source, "aabckKs;y\n220-\n220 \xff\n", false)
		f.Add(source, "aabckKs;y\n220-\n220 \xff\n", true)
	}
	f.Fuzz(func(t *testing.T, source, stream string, floats bool) {
		tree, err := readPattern(source)
		if err != nil || numbered(tree) || len(stream) > 64 || strings.Contains(stream, "\u017f") {
			return
		}
		before := ""
		if floats {
			before = `(?s:.*)`
		}
		oracle, err := regexp.Compile(`\A` + before + `(?:` + source + `)\z`)
		require.NoError(t, err)
		latin := make([]rune, 0, len(stream)) // a byte is a character
		for _, b := range []byte(stream) {
			latin = append(latin, rune(b))
		}
		want := -1
		for i := 1; i <= len(latin) && want < 0; i++ {
			if oracle.MatchString(string(latin[:i])) {
				want = i
			}
		}
		it := item{kind: pattern, source: source, tree: tree}
		step := Step{items: []item{it}}
		if floats {
			step.items = []item{{kind: upTo}, it}
		}
		n, done, err := NewMatcher(step, 1, 1000).Feed([]byte(stream))
		require.Equal(t, want >= 0, done)
		if done {
			require.Equal(t, want, n)
		} else {
			require.False(t, floats && err != nil)
		}
	})
}

// TestNoAssertionIsLeft reads the whole table of assertions of package syntax.
func TestNoAssertionIsLeft(t *testing.T) {
	for _, source := range []string{`^a`, `a$`, `\Aa`, `a\z`, `a\b`, `a\B`, `(?m)^a`, `(?m)a$`, `(a|b$)c`} {
		_, err := syntax.Parse(source, syntax.Perl)
		require.NoError(t, err)
		_, err = readPattern(source)
		require.Error(t, err, source)
	}
}
