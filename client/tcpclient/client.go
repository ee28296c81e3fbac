// SPDX-License-Identifier: Apache-2.0

// Package tcpclient is the reference client. It knows nothing of the rest of the module:
// flags tell it everything, and it reports by its exit status and its output.
//
// It has three modes. Interactive, the default, sends the lines of standard input and
// prints what comes back. Counting (-count) sends "data : 0", "data : 1", … at an
// interval. A load (any of the load flags) opens many connections, verifies every byte of
// every reply, and closes each connection in the way that -leave names. For a load of
// several processes, start several clients.
//
// # Exit statuses
//
//	0  all went as asked
//	1  something failed; one line on standard error says what
//	2  the command line is wrong; one line on standard error names the remedy
//	3  interactive and counting: the server closed the connection first
//
// # Lines of JSON
//
// A load with -hold writes a [Gathered] on standard output, with or without -json, because
// it is there to be waited for. With -json the last line is the [Report].
//
// # What is not checked
//
// With -leave close and reset, bytes that the server sends after the last reply are not
// read, so surplus bytes go unnoticed; half-close, the default, reads to the end of the
// stream and finds them.
package tcpclient

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The exit statuses of [Main].
const (
	ExitOK           = 0 // all went as asked
	ExitFailed       = 1 // something failed, and standard error says what
	ExitUsage        = 2 // the command line is wrong
	ExitServerClosed = 3 // the server closed first, in interactive mode or counting
)

// streams are the standard streams of one run.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Main runs the client with the command line args, of which args[0] is the program's name,
// and returns its exit status. It uses the standard streams of the process, and may leave
// a goroutine behind that reads standard input: Main is meant to be the whole of a program.
func Main(args []string) int {
	return run(args, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
}

func run(args []string, std streams) int {
	name := "client"
	if len(args) > 0 {
		name, args = filepath.Base(args[0]), args[1:]
	}
	cfg, err := parseConfig(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(std.out, name)
		return ExitOK
	}
	if err != nil {
		fmt.Fprintf(std.err, "%s: %v\n", name, err)
		return ExitUsage
	}
	switch cfg.mode {
	case counting:
		err = sendCounted(cfg, std)
	case loading:
		err = runLoad(cfg, std)
	default:
		err = sendTyped(cfg, std)
	}
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(std.err, "%s: %v\n", name, err)
	if errors.Is(err, errServerClosed) {
		return ExitServerClosed
	}
	return ExitFailed
}
