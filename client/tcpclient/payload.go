// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A service is what the server does with the bytes of a message.
type service string

const (
	echo  service = "echo"  // sends them back
	upper service = "upper" // sends them back with a-z as A-Z
)

// reply turns the bytes of a message into the bytes of its reply, in place.
func (s service) reply(message []byte) {
	if s != upper {
		return
	}
	for i, b := range message {
		if 'a' <= b && b <= 'z' {
			message[i] = b - 'a' + 'A'
		}
	}
}

// alphabet has 64 letters, all printable, so that a payload suits servers of lines too.
const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"

// A payload is the content of one message: letters that depend on nothing but the seed, the
// connection, the message and their place, and a newline as the last byte of two or more.
// Bytes of any other message are therefore seen as wrong ones.
type payload struct {
	key  uint64
	size int
}

func newPayload(seed uint64, connection, message, size int) payload {
	key := scramble(scramble(scramble(seed)+uint64(connection)) + uint64(message))
	return payload{key: key, size: size}
}

// fill writes the bytes from offset on into b.
func (p payload) fill(b []byte, offset int) {
	var word [8]byte
	for i := 0; i < len(b); {
		place := offset + i
		binary.LittleEndian.PutUint64(word[:], scramble(p.key+uint64(place/8)))
		for j := place % 8; j < 8 && i < len(b); j++ {
			b[i] = alphabet[word[j]%64]
			i++
		}
	}
	if p.size > 1 && offset+len(b) == p.size && len(b) > 0 {
		b[len(b)-1] = '\n'
	}
}

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
// Number Generators, 2014): every bit of the result depends on every bit of n.
func scramble(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

const (
	// maxQuoted is how many bytes a mismatch quotes.
	maxQuoted = 16
	// minOwned is how many bytes must agree to say to which message they belong.
	minOwned = 8
	// maxCandidates is how many messages are compared to find the one that has come.
	maxCandidates = 1 << 16
)

// A mismatchError is the first wrong byte of a reply, or a byte after the last reply.
type mismatchError struct {
	offset   int    // in the reply
	expected []byte // from the offset on; none after the last reply
	got      []byte // from the offset on
	owner    string // the message to which these bytes belong, if that is known
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
	end := min(len(got), i+maxQuoted)
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
	if len(got) < minOwned {
		return ""
	}
	candidate := make([]byte, len(got))
	for n := range min(cfg.connections*cfg.messages, maxCandidates) {
		connection, message := n/cfg.messages, n%cfg.messages
		newPayload(cfg.seed, connection, message, cfg.size).fill(candidate, offset)
		cfg.service.reply(candidate)
		if bytes.Equal(candidate, got) {
			return fmt.Sprintf("connection %d, message %d", connection, message)
		}
	}
	return ""
}
