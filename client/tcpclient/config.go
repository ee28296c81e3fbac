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
	leaveStall     leaving = "stall"
	leaveKill      leaving = "kill"
)

// config is what the command line asks for. parseConfig makes it complete and consistent.
type config struct {
	mode    mode
	address string
	from    *net.TCPAddr  // nil lets the kernel choose
	timeout time.Duration // 0 is no limit

	count    int // 0 is without end
	interval time.Duration

	connections int // of all processes together
	parallel    int // in each process
	processes   int // 0 is this process alone
	messages    int
	size        int // bytes
	service     service
	oneShot     bool
	seed        uint64
	json        bool

	leave       leaving
	leaveEarly  bool
	leaveUnread bool
	stallFor    time.Duration // 0 is until told
	hold        bool
}

var (
	countingFlags = []string{"count", "interval"}
	commonFlags   = []string{"timeout", "from"}
)

func parseConfig(args []string) (config, error) {
	var cfg config
	fs := cfg.flags()
	var addresses []string
	for {
		if err := fs.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				err = fmt.Errorf("%w; -h lists the flags", err)
			}
			return cfg, err
		}
		if fs.NArg() == 0 {
			break
		}
		addresses, args = append(addresses, fs.Arg(0)), fs.Args()[1:]
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })

	if err := cfg.setAddress(addresses); err != nil {
		return cfg, err
	}
	if err := cfg.setMode(given); err != nil {
		return cfg, err
	}
	if cfg.mode != loading {
		return cfg, nil
	}
	if !given["seed"] {
		cfg.seed = uint64(rand.Uint32())
	}
	if err := cfg.checkLeaving(given); err != nil {
		return cfg, err
	}
	return cfg, cfg.setCrowd(given)
}

func (c *config) flags() *flag.FlagSet {
	*c = config{
		timeout:  10 * time.Second,
		interval: time.Second,
		messages: 1,
		size:     64,
		service:  echo,
		leave:    leaveHalfClose,
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}

	fs.Func("timeout", "", duration(&c.timeout))
	fs.Func("from", "", localAddress(&c.from))
	fs.Func("count", "", whole(&c.count, 0))
	fs.Func("interval", "", duration(&c.interval))
	fs.Func("connections", "", whole(&c.connections, 1))
	fs.Func("parallel", "", whole(&c.parallel, 1))
	fs.Func("processes", "", whole(&c.processes, 0))
	fs.Func("messages", "", whole(&c.messages, 0))
	fs.Func("size", "", whole(&c.size, 1))
	fs.Func("service", "", choice(&c.service, echo, upper))
	fs.BoolVar(&c.oneShot, "one-shot", false, "")
	fs.Func("seed", "", seed(&c.seed))
	fs.BoolVar(&c.json, "json", false, "")
	fs.Func("leave", "", choice(&c.leave,
		leaveHalfClose, leaveClose, leaveReset, leaveStall, leaveKill))
	fs.BoolVar(&c.leaveEarly, "leave-early", false, "")
	fs.BoolVar(&c.leaveUnread, "leave-unread", false, "")
	fs.Func("stall-for", "", duration(&c.stallFor))
	fs.BoolVar(&c.hold, "hold", false, "")
	return fs
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
		if !slices.Contains(countingFlags, name) && !slices.Contains(commonFlags, name) &&
			(load == "" || name < load) {
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

func (c *config) checkLeaving(given map[string]bool) error {
	switch {
	case given["stall-for"] && c.leave != leaveStall:
		return errors.New("-stall-for is for -leave stall: add it or leave -stall-for out")
	case c.leaveEarly && c.leaveUnread:
		return errors.New("-leave-early and -leave-unread exclude each other: leave one of them out")
	case c.leaveUnread && c.leave == leaveHalfClose:
		return errors.New("-leave-unread cannot half-close, which reads the reply: add -leave close, reset, stall or kill")
	case (c.leaveEarly || c.leaveUnread) && c.messages == 0:
		return errors.New("-leave-early and -leave-unread need a message: give -messages 1 or more")
	case c.oneShot && c.messages != 1:
		return fmt.Errorf("-one-shot is one message, not %d: leave -messages out", c.messages)
	}
	return nil
}

// setCrowd completes the numbers of connections and checks them against each other.
func (c *config) setCrowd(given map[string]bool) error {
	processes := max(c.processes, 1)
	if !given["connections"] {
		c.connections = processes * max(c.parallel, 1)
	}
	if c.connections < processes {
		return fmt.Errorf("-connections %d is too few for -processes %d: give at least one to each", c.connections, processes)
	}
	most := share(c.connections, processes, 0).connections
	if !given["parallel"] {
		c.parallel = 1
		if c.allAtOnce() {
			c.parallel = most
		}
	}
	if c.allAtOnce() && c.parallel < most {
		return fmt.Errorf("-parallel %d is too few where all connections stand at the same time: give -parallel %d or leave it out", c.parallel, most)
	}
	return nil
}

// allAtOnce says whether all connections of a process have to be open at the same time.
func (c *config) allAtOnce() bool {
	return c.hold || c.leave == leaveKill || c.leave == leaveStall && c.stallFor == 0
}

func whole(n *int, least int) func(string) error {
	return func(text string) error {
		v, err := strconv.Atoi(text)
		if err != nil || v < least {
			return fmt.Errorf("give a whole number, at least %d", least)
		}
		*n = v
		return nil
	}
}

func seed(n *uint64) func(string) error {
	return func(text string) error {
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return errors.New("give a whole number, at least 0")
		}
		*n = v
		return nil
	}
}

func duration(d *time.Duration) func(string) error {
	return func(text string) error {
		v, err := time.ParseDuration(text)
		if err != nil || v < 0 {
			return errors.New("give a duration, such as 500ms or 10s")
		}
		*d = v
		return nil
	}
}

func choice[T ~string](chosen *T, choices ...T) func(string) error {
	return func(text string) error {
		if !slices.Contains(choices, T(text)) {
			names := make([]string, len(choices))
			for i, c := range choices {
				names[i] = string(c)
			}
			return fmt.Errorf("give one of %s", strings.Join(names, ", "))
		}
		*chosen = T(text)
		return nil
	}
}

func localAddress(local **net.TCPAddr) func(string) error {
	return func(text string) error {
		address, err := netip.ParseAddrPort(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(strings.Trim(text, "[]")); err != nil {
				return errors.New("give IP or IP:PORT, such as 127.0.0.2 or [::1]:5000")
			}
			address = netip.AddrPortFrom(ip, 0)
		}
		*local = net.TCPAddrFromAddrPort(address)
		return nil
	}
}
