// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// numberWord is replaced by the number of the round.
const numberWord = "{n}"

// maxCount is the largest number of bytes that an item may ask for.
const maxCount = 1 << 30

// SyntaxError says what is wrong with the text of a dialogue, where, and what fixes it.
type SyntaxError struct {
	Line, Column int    // from 1; columns are characters
	Text         string // what is wrong, as written; "" at the end
	Problem      string
	Remedy       string
}

func (e *SyntaxError) Error() string {
	where := fmt.Sprintf("column %d", e.Column)
	if e.Line > 1 {
		where = fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	}
	if e.Text == "" {
		return fmt.Sprintf("dialogue, %s, at the end: %s: %s", where, e.Problem, e.Remedy)
	}
	written := e.Text
	const maxShown = 32
	if cut := []rune(written); len(cut) > maxShown {
		written = string(cut[:maxShown]) + "…"
	}
	return fmt.Sprintf("dialogue, %s, at %#q: %s: %s", where, written, e.Problem, e.Remedy)
}

// Parse reads a dialogue. docs/dialogues.md has the grammar. The error is a [*SyntaxError].
func Parse(written string) (Dialogue, error) {
	d, err := (&parser{src: written}).dialogue()
	if err != nil {
		return Dialogue{}, err
	}
	return d, nil
}

type parser struct {
	src string
	pos int   // after the current token
	tok token // the current token
}

type token struct {
	at   int
	raw  string // "" at the end
	item *item  // nil for > < hello round bye and the end
}

// wrong returns an error about the source from one index to another.
func (p *parser) wrong(from, to int, problem, remedy string) error {
	before := p.src[:from]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[lineStart:]) + 1,
		Text: p.src[from:to], Problem: problem, Remedy: remedy,
	}
}

// refuse returns an error about the current token.
func (p *parser) refuse(problem, remedy string) error {
	return p.wrong(p.tok.at, p.tok.at+len(p.tok.raw), problem, remedy)
}

func (p *parser) dialogue() (d Dialogue, err error) {
	if err := p.next(); err != nil {
		return d, err
	}
	switch p.tok.raw {
	case "":
		return d, p.refuse("the dialogue is empty", `give steps, such as > "PING\r\n" < "+PONG\r\n", or the preset none`)
	case "hello", "round", "bye":
		err = p.namedParts(&d)
	default:
		var steps []Step
		steps, err = p.steps("round")
		first := slices.IndexFunc(steps, Step.Sends)
		if first < 0 {
			first = len(steps)
		}
		if first > 0 {
			d.Hello = slices.Clip(steps[:first])
		}
		if first < len(steps) {
			d.Round = steps[first:]
		}
		if p.tok.raw != "" && err == nil {
			err = p.refuse("the steps before this word belong to no part", "begin with hello or round, or leave hello, round and bye out")
		}
		if slices.ContainsFunc(d.Hello, Step.numbered) && err == nil {
			at := strings.Index(p.src, numberWord)
			err = p.wrong(at, at+len(numberWord), "this is the number of the round, and what is read before the first > is the hello", "begin with the word round")
		}
	}
	return d, err
}

// namedParts reads a dialogue with the words hello, round and bye.
func (p *parser) namedParts(d *Dialogue) (err error) {
	into := []*[]Step{&d.Hello, &d.Round, &d.Bye}
	seen, ended := 0, ""
	for p.tok.raw != "" {
		name := p.tok.raw
		i := slices.Index([]string{"hello", "round", "bye"}, name)
		switch {
		case i < seen:
			return p.refuse("this word comes twice, or too late", "write each of hello, round and bye once, in this order")
		case ended != "":
			return p.refuse("nothing is said after the end of the stream, which the "+ended+" reads", "leave out the "+name+", or the eof")
		}
		seen = i + 1
		if err = p.next(); err != nil {
			return err
		}
		if *into[i], err = p.steps(name); err != nil {
			return err
		}
		if len(*into[i]) == 0 {
			return p.refuse("the "+name+" has no steps", "write > or < after the word, or leave it out")
		}
		if slices.ContainsFunc(*into[i], Step.ends) {
			ended = name
		}
	}
	return nil
}

// steps reads steps up to the next word or the end.
func (p *parser) steps(name string) (steps []Step, err error) {
	for p.tok.raw == ">" || p.tok.raw == "<" {
		if len(steps) > 0 && steps[len(steps)-1].ends() {
			return nil, p.refuse("nothing is said after the end of the stream", "make eof the last item")
		}
		s := Step{sends: p.tok.raw == ">"}
		if err = p.next(); err != nil {
			return nil, err
		}
		if s.items, err = p.items(s.sends, name); err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	if p.tok.item != nil {
		return nil, p.refuse("this item belongs to no step", "write > before what is sent, and < before what must come")
	}
	return steps, nil
}

// items reads the items of one step.
func (p *parser) items(sends bool, part string) (items []item, err error) {
	for ; p.tok.item != nil; err = p.next() {
		it := *p.tok.item
		var before kind
		if len(items) > 0 {
			before = items[len(items)-1].kind
		}
		switch {
		case sends && it.kind != text:
			return nil, p.refuse("this cannot be sent", `send "text" or x"hex"`)
		case before == end:
			return nil, p.refuse("nothing comes after the end of the stream", "make eof the last item")
		case before == upTo && (it.kind == upTo || it.kind == count):
			return nil, p.refuse(".. has no end here", `write "text", x"hex", /re/ or eof after it`)
		case part != "round" && (Step{items: []item{it}}).numbered():
			return nil, p.refuse(numberWord+" is the number of the round, and the "+part+" has none", `write it in the round, or \x7bn} for these three characters`)
		}
		if sends && len(items) > 0 {
			joined := slices.Clone(items[0].parts)
			joined[len(joined)-1] += it.parts[0]
			items[0].parts = append(joined, it.parts[1:]...)
		} else {
			items = append(items, it)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0 && sends:
		return nil, p.refuse("> has nothing to send", `write "text" or x"hex" after it`)
	case len(items) == 0:
		return nil, p.refuse("< has nothing to read", `write "text", x"hex", a number, /re/, .. or eof after it`)
	case items[len(items)-1].kind == upTo:
		return nil, p.refuse(".. has no end here", `write "text", x"hex", /re/ or eof after it`)
	}
	return items, nil
}

// next reads a token.
func (p *parser) next() (err error) {
	p.skip()
	p.tok = token{at: p.pos}
	if p.pos == len(p.src) {
		return nil
	}
	rest := p.src[p.pos:]
	var it item
	size := 1
	switch c := rest[0]; {
	case c == '>' || c == '<':
		p.pos++
		p.tok.raw = rest[:1]
		return nil
	case strings.HasPrefix(rest, ".."):
		it, size = item{kind: upTo}, 2
	case c == '"':
		it, size, err = p.text(p.pos)
	case strings.HasPrefix(rest, `x"`):
		it, size, err = p.hex(p.pos)
	case c == '/':
		it, size, err = p.regexp(p.pos)
	default:
		for size < len(rest) && !strings.ContainsRune(" \t\r\n<>\"/.#", rune(rest[size])) {
			size++
		}
		switch word := rest[:size]; {
		case word == "hello" || word == "round" || word == "bye":
			p.pos += size
			p.tok.raw = word
			return nil
		case word == "eof":
			it = item{kind: end}
		case strings.Trim(word, "0123456789") == "":
			it.kind = count
			it.count, err = strconv.Atoi(word)
			if err != nil || it.count < 1 || it.count > maxCount {
				return p.wrong(p.pos, p.pos+size, "this is not a number of bytes", fmt.Sprintf("give 1 to %d", maxCount))
			}
		default:
			return p.wrong(p.pos, p.pos+size, "this is not part of a dialogue",
				`write hello, round, bye, >, <, "text", x"hex", a number, /re/, .. or eof`)
		}
	}
	if err != nil {
		return err
	}
	p.tok.raw, p.tok.item = rest[:size], &it
	p.pos += size
	return nil
}

// skip passes white space and comments.
func (p *parser) skip() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case '#':
			if line := strings.IndexByte(p.src[p.pos:], '\n'); line >= 0 {
				p.pos += line
			} else {
				p.pos = len(p.src)
			}
		default:
			return
		}
	}
}

// closing returns the index of the delimiter that ends what begins at from, on the same line.
func (p *parser) closing(from int, delimiter byte, what string) (int, error) {
	i := from
	for ; i < len(p.src) && p.src[i] != '\n'; i++ {
		switch p.src[i] {
		case delimiter:
			return i, nil
		case '\\':
			i++
		}
	}
	return 0, p.wrong(from-1, min(i, len(p.src)), what+" does not end on its line", fmt.Sprintf(`write %c at its end, and \n for a newline`, delimiter))
}

var escapes = map[byte]byte{'r': '\r', 'n': '\n', 't': '\t', '\\': '\\', '"': '"'}

func (p *parser) text(from int) (item, int, error) {
	to, err := p.closing(from+1, '"', "this text")
	if err != nil {
		return item{}, 0, err
	}
	parts := []string{""}
	for i := from + 1; i < to; {
		last := &parts[len(parts)-1]
		switch c := p.src[i]; {
		case strings.HasPrefix(p.src[i:to], numberWord):
			parts = append(parts, "")
			i += len(numberWord)
		case c != '\\':
			*last += string(p.src[i : i+1])
			i++
		case p.src[i+1] == 'x':
			b, err := hex.DecodeString(p.src[min(i+2, to):min(i+4, to)])
			if err != nil || len(b) != 1 {
				return item{}, 0, p.wrong(i, min(i+4, to), `\x needs two hexadecimal digits`, `write such as \x0a`)
			}
			*last += string(b)
			i += 4
		default:
			b, known := escapes[p.src[i+1]]
			if !known {
				return item{}, 0, p.wrong(i, i+2, "this is not an escape", `write \r, \n, \t, \", \\ or \x and two hexadecimal digits`)
			}
			*last += string([]byte{b})
			i += 2
		}
	}
	if len(parts) == 1 && parts[0] == "" {
		return item{}, 0, p.wrong(from, to+1, "this text is empty", "write at least one byte, or leave it out")
	}
	return item{kind: text, parts: parts}, to + 1 - from, nil
}

func (p *parser) hex(from int) (item, int, error) {
	to, err := p.closing(from+2, '"', "this hex")
	if err != nil {
		return item{}, 0, err
	}
	b, err := hex.DecodeString(strings.ReplaceAll(p.src[from+2:to], " ", ""))
	if err != nil || len(b) == 0 {
		return item{}, 0, p.wrong(from, to+1, "these are not bytes in hexadecimal digits", `write two digits for each byte, such as x"0d 0a"`)
	}
	return item{kind: text, parts: []string{string(b)}}, to + 1 - from, nil
}

func (p *parser) regexp(from int) (item, int, error) {
	to, err := p.closing(from+1, '/', "this regular expression")
	if err != nil {
		return item{}, 0, err
	}
	source := p.src[from+1 : to]
	tree, err := readPattern(source)
	if bad := (*patternError)(nil); errors.As(err, &bad) {
		return item{}, 0, p.wrong(from, to+1, bad.problem, bad.remedy)
	}
	return item{kind: pattern, source: source, tree: tree}, to + 1 - from, nil
}
