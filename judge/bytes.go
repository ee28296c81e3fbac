// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Send sends bytes.
func (k *Conn) Send(b []byte) error {
	if sent, err := k.send(b); err != nil {
		return fmt.Errorf("sent %d of %d bytes: %w", sent, len(b), err)
	}
	return nil
}

// send sends bytes and says how many it sent.
func (k *Conn) send(b []byte) (sent int, err error) {
	w := k.Case.wait()
	var over error
	for sent < len(b) {
		n, err := k.attempt(k.SetWriteDeadline, k.TCPConn.Write, syscall.Write, b[sent:], over != nil)
		sent += n
		switch {
		case err == nil || n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			over = nil
			if n > 0 {
				w = k.Case.wait() // from now on
			}
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return sent, plain(err)
		case over != nil:
			return sent, over
		}
		over = w.over()
	}
	return sent, nil
}

// ReadFull reads until the buffer is full or the stream ends, and says how much came.
func (k *Conn) ReadFull(b []byte) (int, error) { return k.readAtLeast(b, len(b)) }

// readAtLeast reads until so many bytes came or the stream ends, and says how much came.
func (k *Conn) readAtLeast(b []byte, enough int) (int, error) {
	w := k.Case.wait()
	var over error
	for n := 0; ; {
		got, err := k.attempt(k.SetReadDeadline, k.TCPConn.Read, syscall.Read, b[n:], over != nil)
		n += got
		switch {
		case n >= enough:
			return n, nil
		case got > 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
			over = nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over != nil {
				if (errors.Is(over, ErrQuiescent) || errors.Is(over, errDismissed)) && k.forgotten() {
					over = ErrForgotten
				}
				return n, over
			}
			over = w.over()
		case err != nil:
			return n, plain(err)
		}
	}
}

// attempt reads or writes until something was done, or for the time between two
// looks. On a busy machine that time may be over before it comes to the call; so
// the last attempt, which finds what came meanwhile, asks the kernel in any case,
// and does not wait.
func (k *Conn) attempt(setDeadline func(time.Time) error, wait func([]byte) (int, error), ask func(int, []byte) (int, error), b []byte, last bool) (n int, err error) {
	if !last {
		_ = setDeadline(time.Now().Add(lookInterval)) // cannot fail on an open socket
		return wait(b)
	}
	if n, err = k.now(ask, b); n == 0 && err == nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// ReadNow reads what has come, without waiting. There is nothing where n is 0 and err nil;
// the end of the stream is io.EOF.
func (k *Conn) ReadNow(b []byte) (n int, err error) { return k.now(syscall.Read, b) }

// WriteNow sends what the kernel takes at once, and returns how much that was.
func (k *Conn) WriteNow(b []byte) (n int, err error) { return k.now(syscall.Write, b) }

// now asks the kernel to read or write, and does not wait.
func (k *Conn) now(ask func(int, []byte) (int, error), b []byte) (n int, err error) {
	raw, err := k.SyscallConn()
	if err != nil {
		return 0, err
	}
	if rawErr := raw.Control(func(fd uintptr) {
		for {
			if n, err = ask(int(fd), b); err != syscall.EINTR {
				return
			}
		}
	}); rawErr != nil {
		return 0, rawErr
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Expect reads as many bytes as wanted has and compares them: see [ErrWrongBytes].
func (k *Conn) Expect(wanted []byte) error {
	got := make([]byte, len(wanted))
	n, err := k.ReadFull(got)
	if wrong := CompareBytes(got[:n], wanted); wrong != nil {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("received %d of %d bytes of the answer: %w", n, len(wanted), err)
	}
	return nil
}

// ExpectEnd reads the end of the stream.
func (k *Conn) ExpectEnd() error {
	one := make([]byte, 64)
	n, err := k.ReadFull(one)
	switch {
	case errors.Is(err, io.EOF) && n == 0:
		return nil
	case n > 0:
		return &wrongBytes{got: one[:n]}
	}
	return fmt.Errorf("no end of the stream: %w", err)
}

// ErrWrongBytes is wrapped where bytes came that are not those of the answer.
var ErrWrongBytes = errors.New("wrong bytes")

// wrongBytes says where an answer differs from what it should be.
type wrongBytes struct {
	at          int
	got, wanted []byte
}

func (w *wrongBytes) Unwrap() error { return ErrWrongBytes }

func (w *wrongBytes) Error() string {
	const maxShown = 24
	cut := func(b []byte) string {
		if len(b) > maxShown {
			return fmt.Sprintf("%q…", b[:maxShown])
		}
		return fmt.Sprintf("%q", b)
	}
	if len(w.wanted) == 0 {
		return fmt.Sprintf("%s arrives after the end of the answer", cut(w.got))
	}
	return fmt.Sprintf("from byte %d the answer is %s instead of %s", w.at, cut(w.got), cut(w.wanted))
}

// CompareBytes returns an error that wraps [ErrWrongBytes] where what came is not the begin of
// what is wanted.
func CompareBytes(got, wanted []byte) error {
	for i := range got {
		if i == len(wanted) || got[i] != wanted[i] {
			return &wrongBytes{at: i, got: got[i:], wanted: wanted[i:]}
		}
	}
	return nil
}

// plain takes off what package net puts around an error, which names addresses
// that the evidence has anyway.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	if errors.Is(err, net.ErrClosed) {
		return errDismissed // the check closed it while this client waited
	}
	return err
}
