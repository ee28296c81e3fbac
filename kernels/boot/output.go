// SPDX-License-Identifier: Apache-2.0

package boot

import "io"

// output sends what a job prints: the first bytes, up to a limit, at once, and of the others the
// last [tailSize] when the job has ended.
type output struct {
	limit int64
	send  func(p []byte)

	sent    int64
	dropped int64
	tail    []byte
}

// copy sends what it reads until the end.
func (o *output) copy(r io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		o.take(buffer[:n])
		if err != nil {
			return
		}
	}
}

func (o *output) take(p []byte) {
	if now := p[:min(int64(len(p)), o.limit-o.sent)]; len(now) > 0 {
		o.send(now)
		o.sent += int64(len(now))
		p = p[len(now):]
	}
	o.tail = append(o.tail, p...)
	if over := len(o.tail) - tailSize; over > 0 {
		o.dropped += int64(over)
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
}

// end sends the last bytes, and returns how many were dropped before them.
func (o *output) end() int64 {
	if len(o.tail) > 0 {
		o.send(o.tail)
	}
	return o.dropped
}
