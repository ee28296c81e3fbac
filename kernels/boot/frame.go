// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// frameKind is what a record of a guest says.
type frameKind byte

const (
	frameReady  frameKind = 'r' // the guest is up: a [ready]
	frameStart  frameKind = 's' // a job begins: its number
	frameOutput frameKind = 'o' // bytes that the job has printed
	frameResult frameKind = 'd' // the job is done: a [Result]
	frameEnd    frameKind = 'e' // nothing follows
)

// frame is one record: a mark, the kind, the length of the data and their checksum, the data.
type frame struct {
	Kind frameKind
	Data []byte
}

const (
	frameMark    = "\xf0\x9fRg"
	frameHeader  = len(frameMark) + 1 + 4 + 4
	maxFrameData = 1 << 20
)

// writeTo writes the record at once, so that those of several goroutines do not mix.
func (f frame) writeTo(w io.Writer) error {
	b := make([]byte, 0, frameHeader+len(f.Data))
	b = append(b, frameMark...)
	b = append(b, byte(f.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Data)))
	b = binary.BigEndian.AppendUint32(b, f.sum())
	_, err := w.Write(append(b, f.Data...))
	return err
}

func (f frame) sum() uint32 { return crc32.ChecksumIEEE(append([]byte{byte(f.Kind)}, f.Data...)) }

// errFrame is a record with a wrong length or checksum: bytes were lost or added.
var errFrame = errors.New("a record of the guest is damaged")

// readFrame reads the next record. Bytes before its mark, such as those of a boot loader, are
// passed over. The error is [io.EOF] after the last record, also where that is cut short: the
// guest has died then.
func readFrame(r *bufio.Reader) (frame, error) {
	for {
		begin, err := r.Peek(len(frameMark))
		if err != nil {
			return frame{}, endOf(err)
		}
		if string(begin) == frameMark {
			break
		}
		if _, err := r.Discard(1); err != nil {
			return frame{}, endOf(err)
		}
	}
	header := make([]byte, frameHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return frame{}, endOf(err)
	}
	rest := header[len(frameMark):]
	length := binary.BigEndian.Uint32(rest[1:])
	if length > maxFrameData {
		return frame{}, fmt.Errorf("%w: %d bytes are too many", errFrame, length)
	}
	f := frame{Kind: frameKind(rest[0]), Data: make([]byte, length)}
	if _, err := io.ReadFull(r, f.Data); err != nil {
		return frame{}, endOf(err)
	}
	if f.sum() != binary.BigEndian.Uint32(rest[5:]) {
		return frame{}, fmt.Errorf("%w: kind %q, %d bytes", errFrame, f.Kind, length)
	}
	return f, nil
}

func endOf(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
