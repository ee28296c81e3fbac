// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bufferBytes is how much a worker reads at once.
const bufferBytes = 64 << 10

// buffer is what a worker reads into. The server does not write to it, so each worker finds it
// zero, and in pages of its own. It is the only variable that a forked worker has (see
// memory.trim).
var buffer [bufferBytes]byte

// conversation is what a worker does with its connection: it reads, sends the
// whole reply, and reads again. It decides and leaves the system calls, one
// after the other, to serve and serveInGo. It runs in forked workers too, by
// the rules in fork_linux.go.
type conversation struct {
	job      job
	from, to uintptr // what is still to be sent of the buffer; none if they are equal
	deaf     bool    // heeds no reset, nor the end of input that a read reports from then on
	ended    bool
	status   int // of the worker, which is to exit when ended
}

// serve answers on the connection until the client has closed its side or, with
// j.once, after one answer. It returns the worker's exit status: 0 when the
// conversation ended, be it by a reset or because the client was idle for too
// long, 1 after an error that no client causes.
//
//go:nosplit
//go:norace
//go:nocheckptr
func serve(j job) (status int) {
	c := conversation{job: j}
	for !c.ended {
		number, start, length := c.call()
		n, _, errno := syscall.RawSyscall6(number, uintptr(j.conn), start, length, unix.MSG_NOSIGNAL, 0, 0)
		c.result(n, errno)
	}
	return c.status
}

// serveInGo is serve in a process that is a whole Go program, whose runtime has
// to know that a call may block. It would otherwise take the thread for one
// that computes and send it SIGURG again and again, which interrupts a call
// with a timeout, and so puts the timeout off for ever.
func serveInGo(j job) (status int) {
	c := conversation{job: j}
	for !c.ended {
		number, start, length := c.call()
		n, _, errno := syscall.Syscall6(number, uintptr(j.conn), start, length, unix.MSG_NOSIGNAL, 0, 0)
		c.result(n, errno)
	}
	return c.status
}

// call returns the number of the next system call, read or sendto, and the part
// of the buffer that it is for. The flags of sendto are no argument of read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *conversation) call() (number, start, length uintptr) {
	start = uintptr(unsafe.Pointer(&buffer))
	if c.from < c.to {
		return unix.SYS_SENDTO, start + c.from, c.to - c.from
	}
	if c.job.defect == CloseWithUnreadInput && c.job.once {
		return unix.SYS_READ, start, 32
	}
	return unix.SYS_READ, start, uintptr(len(buffer))
}

// result takes what the system call returned.
//
//go:nosplit
//go:norace
func (c *conversation) result(n uintptr, errno syscall.Errno) {
	switch {
	case errno != 0:
		c.failed(errno)
	case c.from < c.to:
		c.sent(n)
	default:
		c.read(n)
	}
}

// read turns the n bytes that were read into the reply.
//
//go:nosplit
//go:norace
func (c *conversation) read(n uintptr) {
	if n == 0 {
		// After every reply, so a client that closed only its sending side has them all.
		c.ended = !c.deaf
		return
	}
	if c.job.defect == EndBeatsReply && hungUp(c.job.conn, 20_000_000) || c.job.defect == DropOnHalfClose && hungUp(c.job.conn, 0) {
		c.ended = true
		return
	}
	if c.job.defect == StaleReply { // takes its input for a string, which goes on to the next zero
		for n < uintptr(len(buffer)) && buffer[n] != 0 {
			n++
		}
	}
	if c.job.service == upper {
		for i := 0; i < int(n) && i < len(buffer); i++ {
			if 'a' <= buffer[i] && buffer[i] <= 'z' {
				buffer[i] -= 'a' - 'A'
			}
		}
	}
	c.from, c.to = 0, n
	if c.job.defect == DropFirstByte {
		c.from = 1
	}
}

// sent takes note that n bytes of the reply were sent. A signal after part was
// sent does not make the call fail, it makes the count short (signal(7),
// "Interruption of system calls").
//
//go:nosplit
//go:norace
func (c *conversation) sent(n uintptr) {
	c.from += n
	if c.job.defect == ShortWrite {
		c.from = c.to
	}
	// A close with input still unread sends a reset, which may destroy the reply
	// on its way (RFC 1122, 4.2.2.13). The one answer of job.once therefore follows a
	// read with room for more than clients send before they wait.
	c.ended = c.job.once && c.from == c.to
}

// failed takes note that a read or a send gave errno.
//
//go:nosplit
//go:norace
func (c *conversation) failed(errno syscall.Errno) {
	switch errno {
	case unix.EINTR: // the same call once more
		if c.job.defect == WorkerExitOnEINTR {
			c.ended, c.status = true, 1
		}
	case unix.ECONNRESET, unix.EPIPE:
		c.deaf = c.job.defect == WorkerIgnoresReset
		c.ended = !c.deaf
	case unix.EAGAIN: // the client was idle for too long, see setIdle
		c.ended = true
	default:
		c.ended, c.status = true, 1
	}
}
