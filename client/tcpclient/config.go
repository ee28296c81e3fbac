// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

type mode int

const (
	interactive mode = iota
	counting
	loading
)

// A leaving is the way in which a connection of a load ends.
type leaving string

const (
	leaveHalfClose leaving = "half-close"
	leaveClose     leaving = "close"
	leaveReset     leaving = "reset"
)

// config is what the command line asks for. parseConfig makes it complete and consistent.
type config struct {
	mode    mode
	address string
	from    netip.Addr    // the zero value lets the kernel choose
	timeout time.Duration // 0 is no limit

	count    int // 0 is without end
	interval time.Duration

	connections int
	parallel    int
	messages    int
	size        int // bytes
	service     service
	oneShot     bool
	seed        uint64
	json        bool

	leave       leaving
	leaveUnread bool
	leaveEarly  bool
	hold        bool
}

var notForLoads = []string{"count", "interval", "timeout", "from"}

func (c *config) flags() *flag.FlagSet {
	*c = config{service: echo, leave: leaveHalfClose}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)

	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "limit for connecting, for each message until its reply is complete,\n"+
		"and for the server's end of the stream; 0s is no limit")
	f.TextVar(&c.from, "from", netip.Addr{}, "local `IP` address")

	f.IntVar(&c.count, "count", 0, "counting: send \"data : 0\" to \"data : N-1\"; 0 counts without end")
	f.DurationVar(&c.interval, "interval", time.Second, "counting: one message in each such `time`; 0s does not wait")

	f.IntVar(&c.connections, "connections", 0, "load: connections in total (default: as many as -parallel)")
	f.IntVar(&c.parallel, "parallel", 0, "load: connections at the same time (default 1; all with -hold)")
	f.IntVar(&c.messages, "messages", 1, "load: messages on each connection, each sent when the reply to the one\n"+
		"before is complete; 0 connects and leaves")
	f.IntVar(&c.size, "size", 64, "load: `bytes` of a message")
	f.Func("service", "load: the `reply` to expect, echo or upper (default echo)", choice(&c.service, echo, upper))
	f.BoolVar(&c.oneShot, "one-shot", false, "load: the server answers one read and closes first; expect exactly the\n"+
		"reply and the end of the stream")
	f.Uint64Var(&c.seed, "seed", 0, "load: seed of the messages' bytes (default: random, shown in the report)")
	f.BoolVar(&c.json, "json", false, "load: report in lines of JSON")
	f.Func("leave", "load: `how` each connection ends. half-close, the default, shuts down the sending side and\n"+
		"reads to the end of the stream; close closes at once; reset closes at once with a reset",
		choice(&c.leave, leaveHalfClose, leaveClose, leaveReset))
	f.BoolVar(&c.leaveUnread, "leave-unread", false, "load: leave when the last reply has begun to arrive: read its first byte\n"+
		"and leave the others unread; not with half-close")
	f.BoolVar(&c.leaveEarly, "leave-early", false, "load: shut down the sending side when the last message is sent, and read its\n"+
		"reply then; needs half-close")
	f.BoolVar(&c.hold, "hold", false, "load: when all connections have conversed, write {\"event\":\"holding\",...} on\n"+
		"standard output and keep them open until the end of standard input")
	return f
}

func parseConfig(args []string) (config, error) {
	var c config
	f := c.flags()
	var addresses []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			return c, err
		} else if err != nil {
			return c, fmt.Errorf("%w; -h lists the flags", err)
		}
		if f.NArg() == 0 {
			break
		}
		addresses, args = append(addresses, f.Arg(0)), f.Args()[1:]
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })

	if err := c.setAddress(addresses); err != nil {
		return c, err
	}
	if err := c.setMode(given); err != nil {
		return c, err
	}
	c.complete(given)
	return c, c.check()
}

func (c *config) setAddress(addresses []string) error {
	switch len(addresses) {
	case 0:
		return errors.New("no address given: add the server's HOST:PORT, for example 127.0.0.1:7000")
	case 1:
	default:
		return fmt.Errorf("several addresses given, %s: give one HOST:PORT", strings.Join(addresses, " and "))
	}
	c.address = addresses[0]
	host, port, err := net.SplitHostPort(c.address)
	if err != nil || host == "" {
		return fmt.Errorf("address %q is not HOST:PORT: write 127.0.0.1:7000 or [::1]:7000", c.address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q of address %q is not a port: give a number from 1 to 65535", port, c.address)
	}
	return nil
}

// setMode finds the mode that the given flags ask for, and refuses flags of two modes.
func (c *config) setMode(given map[string]bool) error {
	var load string // any load flag, the first by name so that the message is stable
	for name := range given {
		if !slices.Contains(notForLoads, name) && (load == "" || name < load) {
			load = name
		}
	}
	switch {
	case given["count"] && load != "":
		return fmt.Errorf("-count counts and -%s is for a load: leave one of them out", load)
	case given["interval"] && !given["count"]:
		return errors.New("-interval is for counting: add -count N or leave it out")
	case given["count"]:
		c.mode = counting
	case load != "":
		c.mode = loading
	}
	return nil
}

// complete sets the defaults that depend on other flags.
func (c *config) complete(given map[string]bool) {
	if !given["connections"] {
		c.connections = max(c.parallel, 1)
	}
	if !given["parallel"] {
		c.parallel = 1
		if c.hold {
			c.parallel = c.connections
		}
	}
	if !given["seed"] {
		c.seed = uint64(rand.Uint32())
	}
}

// check refuses values that are out of bounds, or do not go together.
func (c *config) check() error {
	switch {
	case c.timeout < 0:
		return fmt.Errorf("-timeout %v: must not be negative; 0s is no limit", c.timeout)
	case c.count < 0:
		return fmt.Errorf("-count %d: must be 1 or more, or 0 to count without end", c.count)
	case c.interval < 0:
		return fmt.Errorf("-interval %v: must not be negative; 0s does not wait", c.interval)
	case c.parallel < 1:
		return fmt.Errorf("-parallel %d: must be 1 or more", c.parallel)
	case c.connections < 1:
		return fmt.Errorf("-connections %d: must be 1 or more", c.connections)
	case c.messages < 0:
		return fmt.Errorf("-messages %d: must not be negative", c.messages)
	case c.size < 1:
		return fmt.Errorf("-size %d: must be 1 or more", c.size)
	case c.hold && c.parallel < c.connections:
		return fmt.Errorf("-parallel %d: must be %d with -hold, which keeps all connections open; leave it out", c.parallel, c.connections)
	case c.leaveEarly && (c.leave != leaveHalfClose || c.messages == 0 || c.hold):
		return errors.New("-leave-early needs a message and -leave half-close, and no -hold")
	case c.leaveUnread && c.leave == leaveHalfClose:
		return errors.New("-leave-unread cannot half-close, which reads the reply: add -leave close or reset")
	case c.leaveUnread && (c.messages == 0 || c.size == 1):
		return errors.New("-leave-unread needs a reply of two bytes or more: give -messages 1 and -size 2, or more")
	case c.oneShot && c.messages != 1:
		return fmt.Errorf("-one-shot is one message, not %d: leave -messages out", c.messages)
	}
	return nil
}

func choice[T ~string](chosen *T, choices ...T) func(string) error {
	return func(text string) error {
		if !slices.Contains(choices, T(text)) {
			return fmt.Errorf("must be one of %v", choices)
		}
		*chosen = T(text)
		return nil
	}
}

// printUsage writes what -h prints.
func printUsage(w io.Writer, name string) {
	fmt.Fprintf(w, `usage: %s [flags] ADDR

ADDR is HOST:PORT, with an IPv6 address in brackets. Flags stand before or after it.

Without a flag of counting or of a load, every line of standard input is sent, and what the
server sends is printed as it comes. The end of input half-closes the connection and waits for
the server's end of the stream.

`, name)
	f := new(config).flags()
	f.SetOutput(w)
	f.PrintDefaults()
	fmt.Fprint(w, `
Exit status: 0 all went as asked; 1 something failed or a byte was wrong; 2 wrong command line;
3 interactive and counting: the server closed the connection first.
`)
}
