package tcpclient

import (
	"bytes"
	"fmt"
)

const (
	// mostQuoted is how many bytes a mismatch quotes.
	mostQuoted = 16
	// leastTelling is how many bytes must agree to say whose they are.
	leastTelling = 8
	// mostSuspects is how many messages are looked at to find whose bytes have come.
	mostSuspects = 1 << 16
)

// A mismatchError is the first wrong byte of a reply, or a byte after the last reply.
type mismatchError struct {
	offset   int    // in the reply
	expected []byte // from the offset on; none after the last reply
	got      []byte // from the offset on
	owner    string // whose bytes these are, if that is known
}

func (e *mismatchError) Error() string {
	if len(e.expected) == 0 {
		return fmt.Sprintf("surplus bytes after the last reply: expected the end of the stream, got %q", e.got)
	}
	text := fmt.Sprintf("wrong byte at offset %d: expected %q, got %q", e.offset, e.expected, e.got)
	if e.owner != "" {
		text += ", bytes of " + e.owner
	}
	return text
}

// compare returns nil if got is what was expected at the offset of a reply.
func compare(expected, got []byte, offset int) *mismatchError {
	if bytes.Equal(expected, got) {
		return nil
	}
	i := 0
	for expected[i] == got[i] {
		i++
	}
	end := min(len(got), i+mostQuoted)
	return &mismatchError{
		offset:   offset + i,
		expected: bytes.Clone(expected[i:end]),
		got:      bytes.Clone(got[i:end]),
	}
}

// owner names the message to which the bytes of a reply belong: a server that mixes up its
// clients, or sends what is left in its buffer, sends bytes of another message with the
// same offset. It returns "" if too few bytes are there to tell, or none agrees.
func owner(cfg config, offset int, got []byte) string {
	if len(got) < leastTelling {
		return ""
	}
	suspect := make([]byte, len(got))
	left := mostSuspects
	for connection := range cfg.connections {
		process := processOf(connection, cfg.connections, max(cfg.processes, 1))
		for message := range cfg.messages {
			if left--; left < 0 {
				return ""
			}
			newPayload(cfg.seed, process, connection, message, cfg.size).fill(suspect, offset)
			cfg.service.reply(suspect)
			if bytes.Equal(suspect, got) {
				return fmt.Sprintf("connection %d, message %d", connection, message)
			}
		}
	}
	return ""
}
