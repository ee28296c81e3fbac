// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"time"
)

// config is the command line, checked.
type config struct {
	args         []string // the command line itself, for the exec worker
	service      service
	listen       netip.AddrPort
	once         bool
	worker       workerModel
	backlog      int
	maxWorkers   int
	grace        time.Duration
	idle         time.Duration // 0 is for ever
	leaveWorkers bool
	logLevel     slog.Level
	defect       Defect
	listDefects  bool
}

// service is what a worker does with what it reads.
type service uint8

const (
	echo  service = iota // write it back
	upper                // write it back with a to z as A to Z
)

// workerModel is how a connection gets its process.
type workerModel uint8

const (
	forkModel workerModel = iota // a copy of the server, which never returns to Go
	execModel                    // the same binary started again
)

var (
	services     = []string{echo: "echo", upper: "upper"}
	workerModels = []string{forkModel: "fork", execModel: "exec"}
)

func (s service) String() string     { return services[s] }
func (m workerModel) String() string { return workerModels[m] }

// defaultListen is where the two tutorials that the services come from listen.
var defaultListen = []string{echo: "0.0.0.0:9999", upper: "127.0.0.1:6666"}

// flags returns the flag set that fills c.
func (c *config) flags() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Func("service", "what a worker does: `echo|upper`; upper makes a to z upper case (default echo)",
		oneOf(&c.service, services))
	f.Func("listen", "listen on `address:port`, such as 127.0.0.1:9999 or [::1]:9999; [::] takes IPv4 too,\n"+
		"port 0 is a free one (default "+defaultListen[echo]+" for echo, "+defaultListen[upper]+" for upper)",
		func(s string) (err error) { c.listen, err = parseListen(s); return err })
	f.BoolVar(&c.once, "once", false, "a worker answers one read and closes first")
	f.Func("worker", "how a connection gets its process: `fork|exec` (default fork)", oneOf(&c.worker, workerModels))
	f.IntVar(&c.backlog, "backlog", 128, "how many connections the kernel may hold for accept")
	f.IntVar(&c.maxWorkers, "max-workers", 0, "accept no more while this many workers live; 0 is no limit")
	f.DurationVar(&c.grace, "grace", 5*time.Second, "after SIGTERM or SIGINT, kill the workers that are left after this `time`")
	f.DurationVar(&c.idle, "idle", 0, "end a worker whose client neither sends nor reads for this `time`; 0s is never")
	f.BoolVar(&c.leaveWorkers, "leave-workers", false, "let workers outlive the server")
	f.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "log events of this `level` and above: debug, info, warn or error")
	f.TextVar(&c.defect, "defect", NoDefect, "be wrong in the way of this `name`")
	f.BoolVar(&c.listDefects, "defects", false, "list the defects and exit")
	return f
}

// parseConfig checks the command line args, the program's name excluded. Its
// error is one line that names the argument and the remedy, or [flag.ErrHelp].
func parseConfig(args []string) (config, error) {
	var c config
	f := c.flags()
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return c, err
	} else if err != nil {
		return c, fmt.Errorf("%w; -h lists the flags", err)
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q; all settings are flags, -h lists them", f.Arg(0))
	}
	if !c.listen.IsValid() {
		c.listen = netip.MustParseAddrPort(defaultListen[c.service])
	}
	switch {
	case c.backlog < 1 || c.backlog > math.MaxInt32:
		return c, fmt.Errorf("-backlog %d: must be from 1 to %d", c.backlog, math.MaxInt32)
	case c.maxWorkers < 0:
		return c, fmt.Errorf("-max-workers %d: must be 1 or more, or 0 for no limit", c.maxWorkers)
	case c.grace < 0:
		return c, fmt.Errorf("-grace %v: must not be negative; 0s kills the workers at once", c.grace)
	case c.idle != 0 && c.idle < time.Millisecond:
		return c, fmt.Errorf("-idle %v: must be 1ms or more, or 0s for never", c.idle)
	}
	if c.defect == OrphansOnTerm {
		c.leaveWorkers = true
	}
	return c, nil
}

// oneOf returns a flag function that stores the index of the given name.
func oneOf[T ~uint8](value *T, names []string) func(string) error {
	return func(s string) error {
		for i, name := range names {
			if s == name {
				*value = T(i)
				return nil
			}
		}
		return fmt.Errorf("must be %s", strings.Join(names, " or "))
	}
}

func parseListen(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, errors.New("must be an IP address and a port, such as 127.0.0.1:9999 or [::1]:9999")
	}
	return a, nil
}

// printUsage writes what -h prints.
func printUsage(w io.Writer, name string) {
	fmt.Fprintf(w, "usage: %s [flags]\n\nA TCP server that forks one worker per connection. It needs no privilege.\n\n", name)
	f := new(config).flags()
	f.SetOutput(w)
	f.PrintDefaults()
}
