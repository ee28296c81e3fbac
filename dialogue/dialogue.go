// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Dialogue is what is said on each connection: the hello once, the round as often as wanted,
// the bye once. The zero value says nothing. [Parse] makes others. A dialogue does not change,
// and is safe for concurrent use.
type Dialogue struct {
	Hello, Round, Bye []Step
}

// Step is one thing that a client does: it sends bytes, or it reads a reply. [Parse] makes
// steps.
type Step struct {
	sends bool
	items []item
}

type kind int

const (
	text    kind = iota // exactly these bytes
	upTo                // anything, up to and including the next item
	count               // so many bytes
	pattern             // what a regular expression matches
	end                 // the end of the stream
)

// item is one part of a step.
type item struct {
	kind   kind
	parts  []string       // of a text: the number of the round stands between them
	count  int            // of a count
	source string         // of a pattern, as written
	tree   *syntax.Regexp // of a pattern, with a mark for the number of the round
}

// String returns the dialogue in its canonical form, which [Parse] reads back.
func (d Dialogue) String() string {
	var words []string
	for _, part := range d.parts() {
		if len(part.steps) == 0 {
			continue
		}
		words = append(words, part.name)
		for _, s := range part.steps {
			words = append(words, s.String())
		}
	}
	return strings.Join(words, " ")
}

type part struct {
	name  string
	steps []Step
}

func (d Dialogue) parts() [3]part {
	return [3]part{{"hello", d.Hello}, {"round", d.Round}, {"bye", d.Bye}}
}

// String returns the step in its canonical form.
func (s Step) String() string {
	words := []string{"<"}
	if s.sends {
		words[0] = ">"
	}
	for _, it := range s.items {
		words = append(words, it.String())
	}
	return strings.Join(words, " ")
}

// Sends says whether the step sends. Otherwise it reads.
func (s Step) Sends() bool { return s.sends }

// Bytes returns what the step sends in the round with this number; nil where it reads.
func (s Step) Bytes(number int) []byte {
	if !s.sends {
		return nil
	}
	var sent []byte
	for _, it := range s.items {
		sent = append(sent, it.bytes(number)...)
	}
	return sent
}

// numbered says whether the number of the round occurs in the step.
func (s Step) numbered() bool {
	return slices.ContainsFunc(s.items, func(it item) bool {
		return len(it.parts) > 1 || it.kind == pattern && numbered(it.tree)
	})
}

// ends says whether the step reads the end of the stream.
func (s Step) ends() bool {
	return slices.ContainsFunc(s.items, func(it item) bool { return it.kind == end })
}

func (it item) bytes(number int) []byte {
	return []byte(strings.Join(it.parts, strconv.Itoa(number)))
}

func (it item) String() string {
	switch it.kind {
	case text:
		return quote(it.parts)
	case upTo:
		return ".."
	case count:
		return strconv.Itoa(it.count)
	case pattern:
		return "/" + it.source + "/"
	}
	return "eof"
}

// quote writes bytes as a text, or in hex where a text would need escapes by number.
func quote(parts []string) string {
	var b strings.Builder
	plain := true
	for i, part := range parts {
		if i > 0 {
			b.WriteString(numberWord)
		}
		for j := range len(part) {
			c := part[j]
			switch {
			case c == '\r':
				b.WriteString(`\r`)
			case c == '\n':
				b.WriteString(`\n`)
			case c == '\t':
				b.WriteString(`\t`)
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~' || strings.HasPrefix(part[j:], numberWord):
				plain = false
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
	}
	if !plain && len(parts) == 1 {
		return fmt.Sprintf(`x"%x"`, parts[0])
	}
	return `"` + b.String() + `"`
}
