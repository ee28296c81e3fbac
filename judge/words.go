// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"strings"
)

// SplitWords splits a command line into words as a POSIX shell does (quotes,
// backslashes, blanks), without being one: there are no variables, patterns,
// pipes or comments, and their characters stand for themselves. The error says
// which quote is not closed.
func SplitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case '\'':
			inWord = true
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a single quote (') is not closed")
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
		case '"':
			inWord = true
			end, err := quoted(line[i+1:], &word)
			if err != nil {
				return nil, err
			}
			i += end
		case '\\':
			if i++; i == len(line) {
				return nil, errors.New("a backslash is the last character: write two of them, or none")
			}
			if line[i] != '\n' { // a backslash joins lines
				inWord = true
				word.WriteByte(line[i])
			}
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted adds to word what stands before the closing double quote of text, and
// returns the length of text up to and with it.
func quoted(text string, word *strings.Builder) (int, error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\\n", text[i+1]) >= 0:
			i++
			if text[i] != '\n' {
				word.WriteByte(text[i])
			}
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New(`a double quote (") is not closed`)
}
