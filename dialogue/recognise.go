// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"bytes"
	"slices"
)

// Probes are the presets that [Auto] tries, in this order, on a server without a greeting, each
// on a connection of its own. The first whose dialogue matches wins, with two rounds if it
// repeats: see [Conversation.Whole]. With none of them the preset is none.
//
// No probe changes anything at a server that understands it. After each one, right or wrong,
// [Conversation.Finish] sends a FIN and reads to the end, so that no probe resets a connection
// or leaves bytes unread. The probe for HTTP has no Host: Redis takes a line that begins so for
// an attack.
var Probes = []string{"http", "redis", "memcached", "echo", "upper"}

// wordsOfFTP are how FTP servers call themselves in a greeting, and wordsOfSMTP the same of mail.
var (
	wordsOfFTP  = []string{"ftp", "file"}
	wordsOfSMTP = []string{"smtp", "mail"}
)

// says says whether one of the words is in the greeting, in capitals or not.
func says(greeting []byte, words []string) bool {
	lower := bytes.ToLower(greeting)
	return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(lower, []byte(word)) })
}

// Recognise returns the presets whose hello is this greeting, the likeliest first; nil means
// that the greeting is unknown. A greeting is what has come when the server is at rest after
// its accept. More than one preset must be tried, as [Probes] are: a greeting of 220 is that of
// a mail server or a file server, whose words tell which one is likelier, and the reply to NOOP
// decides, because it is 250 from the one and never from the other.
func Recognise(greeting []byte) []string {
	var names []string
	for _, s := range presets() {
		if len(s.Dialogue.Hello) == 0 || s.Dialogue.Hello[0].sends {
			continue
		}
		m := NewMatcher(s.Dialogue.Hello[0], 0, len(greeting)+1)
		if _, done, _ := m.Feed(greeting); done {
			names = append(names, s.Name)
		}
	}
	if says(greeting, wordsOfFTP) && !says(greeting, wordsOfSMTP) && slices.Equal(names, []string{"smtp", "ftp"}) {
		slices.Reverse(names)
	}
	return names
}
