package tcpclient

import "encoding/binary"

// alphabet has 64 letters, all printable, so that a payload suits servers of lines too.
const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"

// A payload is the content of one message: letters that depend on nothing but the seed, the
// process, the connection, the message and their place, and a newline as the last byte of
// two or more. Bytes of any other message are therefore seen as wrong ones.
type payload struct {
	key  uint64
	size int
}

func newPayload(seed uint64, process, connection, message, size int) payload {
	key := scramble(seed)
	for _, n := range []int{process, connection, message} {
		key = scramble(key + uint64(n))
	}
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
