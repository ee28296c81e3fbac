// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// In the source of a regular expression that is being read, two runes stand for the number of
// the round: two, so that the parser takes them into no class unless they were written in one.
const (
	numberMark    = '\uE000'
	numberMarkEnd = '\uE001'
)

// maxPattern is the largest program of a regular expression, in instructions. Each byte of a
// reply costs at most one pass over it.
const maxPattern = 10_000

// patternError says what is wrong with a regular expression, and what fixes it.
type patternError struct{ problem, remedy string }

func (e *patternError) Error() string { return e.problem + ": " + e.remedy }

// readPattern reads a regular expression of RE2, and refuses what cannot be decided at the byte
// with which it matches.
func readPattern(source string) (*syntax.Regexp, error) {
	if strings.ContainsFunc(source, func(r rune) bool { return r > unicode.MaxASCII }) {
		return nil, &patternError{"the regular expression is not in ASCII", `match bytes above 7f as x"hex", or with .`}
	}
	if _, err := checkPattern(source); err != nil {
		return nil, err
	}
	marked, err := markNumber(source)
	if err != nil {
		return nil, err
	}
	tree, err := checkPattern(marked)
	if err != nil {
		return nil, &patternError{numberWord + " stands where a number has no place", "write it outside of classes and escapes"}
	}
	prog := compile(withNumber(tree, "1"))
	if len(prog.Inst) > maxPattern {
		return nil, &patternError{"the regular expression is too large", "repeat less, or read a number of bytes"}
	}
	if newPatternRun(prog, false).matched {
		return nil, &patternError{"the regular expression matches without a byte, so it checks nothing", "write + in place of *, or leave it out"}
	}
	return tree, nil
}

// markNumber puts the marks in the place of each number of the round that is not escaped.
func markNumber(source string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(source); i++ {
		switch {
		case strings.HasPrefix(source[i:], numberWord):
			b.WriteString("(?:" + string(numberMark) + string(numberMarkEnd) + ")")
			i += len(numberWord) - 1
		case strings.HasPrefix(source[i:], `\Q`):
			return "", &patternError{`\Q has no meaning here`, `write \ before each character that stands for itself`}
		case source[i] == '\\' && i+1 < len(source):
			b.WriteString(source[i : i+2])
			i++
		default:
			b.WriteByte(source[i])
		}
	}
	return b.String(), nil
}

func checkPattern(source string) (*syntax.Regexp, error) {
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return nil, &patternError{"the regular expression is wrong: " + problem, "write it as in RE2; a slash in it is \\/"}
	}
	return tree, checkTree(tree)
}

func checkTree(tree *syntax.Regexp) error {
	isMark := func(r rune) bool { return r == numberMark || r == numberMarkEnd }
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpBeginText:
		return &patternError{"^ has no meaning: a regular expression begins where the reading stands", "leave it out"}
	case syntax.OpEndLine, syntax.OpEndText:
		return &patternError{"$ would have to look at what follows", `write the bytes that follow, such as \r\n, or eof after the regular expression`}
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return &patternError{`\b and \B would have to look at what follows`, "write the bytes that follow"}
	case syntax.OpLiteral:
		if slices.ContainsFunc(tree.Rune, func(r rune) bool { return r > unicode.MaxASCII && !isMark(r) }) {
			return &patternError{"the regular expression has a character that is not in ASCII", `match bytes above 7f as x"hex", or with .`}
		}
	case syntax.OpCharClass, syntax.OpNoMatch:
		if len(tree.Rune) == 0 {
			return &patternError{"the regular expression has a class without a character", "write one in it"}
		}
		// What is not in ASCII must be in the class as a whole, as in [^a], or not at all. The
		// long s and the sign of Kelvin come with s and k where case does not matter.
		const all = unicode.MaxRune - unicode.MaxASCII - 2
		n := 0
		for i := 0; i < len(tree.Rune); i += 2 {
			from, to := max(tree.Rune[i], unicode.MaxASCII+1), tree.Rune[i+1]
			n += int(max(to-from+1, 0))
			for _, folded := range []rune{'\u017F', '\u212A'} {
				if from <= folded && folded <= to {
					n--
				}
			}
		}
		if n != 0 && n != all {
			return &patternError{"the regular expression has a class that is not in ASCII", `write its bytes, such as [a-z]; match bytes above 7f as x"hex", or with .`}
		}
	}
	for _, sub := range tree.Sub {
		if err := checkTree(sub); err != nil {
			return err
		}
	}
	return nil
}

// numbered says whether the number of the round occurs in the tree.
func numbered(tree *syntax.Regexp) bool {
	return slices.Contains(tree.Rune, numberMark) || slices.ContainsFunc(tree.Sub, numbered)
}

// literal returns a program for these bytes, each of which is one character.
func literal(b []byte) *syntax.Prog {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return compile(&syntax.Regexp{Op: syntax.OpLiteral, Rune: runes})
}

// compile returns the program of a tree. Compiling has no errors: parsing has them.
func compile(tree *syntax.Regexp) *syntax.Prog {
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		panic(err)
	}
	return prog
}

// withNumber returns a copy of the tree in which the number stands in the place of its marks.
func withNumber(tree *syntax.Regexp, number string) *syntax.Regexp {
	if !numbered(tree) {
		return tree
	}
	c := *tree
	c.Rune = []rune(strings.ReplaceAll(string(tree.Rune), string(numberMark)+string(numberMarkEnd), number))
	c.Sub = make([]*syntax.Regexp, len(tree.Sub))
	for i, sub := range tree.Sub {
		c.Sub[i] = withNumber(sub, number)
	}
	return &c
}

// patternRun follows all ways through a program at the same time, so that it needs each byte
// once, and knows with which one the first match ends.
type patternRun struct {
	prog    *syntax.Prog
	floats  bool     // a match may begin at any byte
	now     []uint32 // the instructions that wait for a byte
	next    []uint32
	seen    []int // for each instruction, in which generation it was added
	gen     int
	matched bool
}

func newPatternRun(prog *syntax.Prog, floats bool) *patternRun {
	r := &patternRun{prog: prog, floats: floats, seen: make([]int, len(prog.Inst)), gen: 1}
	r.add(uint32(prog.Start))
	r.now, r.next = r.next, r.now
	return r
}

// add follows the instructions that need no byte. Its depth is that of the program.
func (r *patternRun) add(pc uint32) {
	for r.seen[pc] != r.gen {
		r.seen[pc] = r.gen
		switch inst := &r.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			r.add(inst.Out)
			pc = inst.Arg
		case syntax.InstCapture, syntax.InstNop:
			pc = inst.Out
		case syntax.InstMatch:
			r.matched = true
			return
		case syntax.InstFail:
			return
		case syntax.InstEmptyWidth:
			panic(fmt.Sprintf("dialogue: assertion %v was not refused", syntax.EmptyOp(inst.Arg)))
		default:
			r.next = append(r.next, pc)
			return
		}
	}
}

// step takes a byte. Each byte is one character: those above 7f are in a class as a whole or
// not at all.
func (r *patternRun) step(b byte) outcome {
	r.gen++
	r.next = r.next[:0]
	for _, pc := range r.now {
		if inst := &r.prog.Inst[pc]; inst.MatchRune(rune(b)) {
			r.add(inst.Out)
		}
	}
	if r.floats && !r.matched {
		r.add(uint32(r.prog.Start))
	}
	r.now, r.next = r.next, r.now
	switch {
	case r.matched:
		return complete
	case len(r.now) == 0:
		return wrong
	}
	return more
}
