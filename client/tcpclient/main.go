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
// and returns its exit status. It uses the standard streams of the process.
//
// With -processes it starts /proc/self/exe with the same args[0] and private arguments,
// so a binary that is several programs must come back to Main for that args[0]. Main is
// meant to be the whole of a program: it may leave a goroutine behind that reads standard
// input, it may handle SIGUSR1, and with -leave kill it does not return.
func Main(args []string) int {
	return run(args, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
}

func run(args []string, std streams) int {
	name := "client"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if part, rest, ok := parsePart(args); ok {
		return status(name, runPart(part, rest, std), std)
	}
	cfg, err := parseConfig(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(std.out, usage, filepath.Base(name))
		return ExitOK
	}
	if err != nil {
		fmt.Fprintf(std.err, "%s: %v\n", filepath.Base(name), err)
		return ExitUsage
	}
	switch {
	case cfg.mode == interactive:
		err = runInteractive(cfg, std)
	case cfg.mode == counting:
		err = runCounting(cfg, std)
	case cfg.processes > 0:
		err = runProcesses(name, args, cfg, std)
	default:
		err = runLoad(cfg, std)
	}
	return status(name, err, std)
}

// status reports err, if any, in one line and translates it into an exit status.
func status(name string, err error, std streams) int {
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(std.err, "%s: %v\n", filepath.Base(name), err)
	if errors.Is(err, errServerClosed) {
		return ExitServerClosed
	}
	return ExitFailed
}
