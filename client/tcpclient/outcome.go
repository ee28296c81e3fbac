// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// An outcome is how a connection of a load went.
type outcome int

// Of two errors on one connection, the one with the greater outcome is reported.
const (
	succeeded outcome = iota
	failedOtherwise
	timedOut
	closedEarly
	wasReset
	wasRefused
	mismatched
)

var errClosedEarly = errors.New("closed early by the server")

// A timeoutError says after how long an operation was given up.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string {
	if e.after == 0 {
		return "timed out by the kernel"
	}
	return fmt.Sprintf("timed out after %v", e.after)
}

// plain takes the addresses, which the caller names in its own way, out of an error of
// package net, and says how long an operation was waited for.
func plain(err error, timeout time.Duration) error {
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return errClosedEarly
	case errors.Is(err, syscall.ETIMEDOUT):
		return timeoutError{}
	case isTimeout(err):
		return timeoutError{timeout}
	case errors.As(err, &call) && (call.Syscall == "connect" || call.Syscall == "read" || call.Syscall == "write"):
		return call.Err
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// isReset covers EPIPE because Linux reports a reset so when the end of the stream came
// before it (tcp_reset in CLOSE-WAIT) or when another call has already got ECONNRESET.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED)
}

func outcomeOf(err error) outcome {
	var wrong *mismatchError
	var late timeoutError
	switch {
	case err == nil:
		return succeeded
	case errors.As(err, &wrong):
		return mismatched
	case errors.Is(err, syscall.ECONNREFUSED):
		return wasRefused
	case isReset(err):
		return wasReset
	case errors.Is(err, errClosedEarly):
		return closedEarly
	case errors.As(err, &late):
		return timedOut
	}
	return failedOtherwise
}

// worse returns the error with the greater outcome; the first if they have the same.
func worse(a, b error) error {
	if outcomeOf(b) > outcomeOf(a) {
		return b
	}
	return a
}
