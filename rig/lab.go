// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"forkrig/rig/internal/netns"
)

// SeedEnv is the environment variable that gives back a seed a failure printed.
const SeedEnv = "FORKRIG_SEED"

// Lab is everything one test builds: hosts, links, processes and a journal. It
// ends with the test. Labs are independent of each other, also when they use
// the same names and addresses, so tests that use them may run in parallel. Its
// methods are safe for concurrent use, but those named New… and Must… fail the
// test and so belong on the test's goroutine.
type Lab struct {
	// Journal records what the rig does and sees in this lab. It is printed when
	// the test fails.
	Journal *Journal
	// Seed is the source of everything random in this lab: FORKRIG_SEED where
	// that is set, and otherwise different in each run.
	Seed uint64

	tb TB

	mu        sync.Mutex
	closed    bool
	ending    bool // its functions are being called; it is closed afterwards
	hosts     []*Host
	links     []*Link
	processes []*Process
	storms    []*RunningStorm
	atEnd     []func(context.Context) error
	// directories are those of MakeDirectory.
	directories []string
	owners      map[netip.Addr]*Host
	claims      map[string]bool // see Claim
	sent        SignalSet       // signals that the rig has sent, or that are expected: see ExpectCrash
}

// ErrClosed is wrapped by every call to a lab that has ended.
var ErrClosed = errors.New("the lab is closed")

// New makes an empty lab that ends with the test. It fails the test where
// TestMain did not call [Main].
//
// When the test ends, the lab waits for zombies to be reaped, stops every
// process, and fails the test if anything was left behind: a zombie that was
// not reaped, a process that outlived its stop, a connection or listener that the
// test itself left open on a host, a namespace that is still in use. It fails the
// test if a process crashed, too: see [Lab.ExpectCrash].
func New(tb TB) *Lab {
	tb.Helper()
	if err := checkSandbox(); err != nil {
		tb.Fatal(err)
	}
	if _, err := timeScale(); err != nil {
		tb.Fatal(err)
	}
	seed, err := seedFromEnv()
	if err != nil {
		tb.Fatal(err)
	}
	lab := &Lab{Journal: newJournal(), Seed: seed, tb: tb, owners: map[netip.Addr]*Host{}}
	lab.Journal.Record("lab", "%s", aboutDeadlines())
	dog.add(lab)
	tb.Cleanup(func() {
		tb.Helper()
		err := lab.close()
		if err != nil {
			tb.Errorf("end of the lab: %v", err)
		}
		if tb.Failed() {
			tb.Log(lab.report())
		}
	})
	return lab
}

func seedFromEnv() (uint64, error) { return parseSeed(os.Getenv(SeedEnv)) }

func parseSeed(text string) (uint64, error) {
	if text == "" {
		return rand.Uint64(), nil
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a seed: give the number that a failure printed", SeedEnv, text)
	}
	return seed, nil
}

// Rand returns a new source of random numbers that is determined by the lab's
// seed and by what the numbers are for.
func (l *Lab) Rand(purpose string) *rand.Rand {
	stream := uint64(14695981039346656037) // FNV-1a
	for i := range len(purpose) {
		stream = (stream ^ uint64(purpose[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(l.Seed, stream))
}

// NewHost adds a host without links. Its name appears in output and must be
// unique in the lab.
func (l *Lab) NewHost(name string) *Host {
	l.tb.Helper()
	host, err := l.addHost(name)
	if err != nil {
		l.tb.Fatal(err)
	}
	return host
}

// NewLink joins two hosts of the lab by a veth pair. The link is up, with its
// addresses usable, when NewLink returns. Two hosts may share several links.
func (l *Lab) NewLink(a, b *Host) *Link {
	l.tb.Helper()
	link, err := l.addLink(a, b, false)
	if err != nil {
		l.tb.Fatal(err)
	}
	return link
}

// NewStar adds a host named center and n hosts named leaf1, leaf2, … with a
// link from center to each. The leaves' default route leads to center, so that
// every leaf reaches every address of center, [Host.Addr] among them. Leaves do
// not reach each other.
func (l *Lab) NewStar(center, leaf string, n int) (*Host, []*Host) {
	l.tb.Helper()
	if n < 0 {
		l.tb.Fatalf("make a star: %d leaves: give a number from 0 up", n)
	}
	names := []string{center}
	for i := range n {
		names = append(names, leaf+strconv.Itoa(i+1))
	}
	hosts, err := l.addStar(names)
	if err != nil {
		l.tb.Fatal(err)
	}
	return hosts[0], hosts[1:]
}

// addStar adds the hosts and links the first with each of the others. The links are
// awaited when all are made: until then the kernel's workers have seen to most of them.
func (l *Lab) addStar(names []string) ([]*Host, error) {
	next, stop := makeNamespaces(names)
	defer stop()
	var hosts []*Host
	var links []*Link
	for i, name := range names {
		host, err := l.addHostIn(name, next)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
		if i == 0 {
			continue
		}
		link, err := l.makeLink(hosts[0], host, true)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	for _, link := range links {
		if err := link.begin(); err != nil {
			return nil, err
		}
	}
	return hosts, nil
}

func (l *Lab) addHost(name string) (*Host, error) {
	return l.addHostIn(name, func() (*netns.Namespace, error) { return newNamespace(name) })
}

// addHostIn adds a host whose network namespace newNamespace returns.
func (l *Lab) addHostIn(name string, newNamespace func() (*netns.Namespace, error)) (*Host, error) {
	if err := l.checkOpen("make host " + name); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("make a host: the name is empty: give each host a name of its own")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, fmt.Errorf("make a host: the name %q has characters that cannot be printed: it is for people to read", name)
	}
	ns, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	host := &Host{Name: name, lab: l, ns: ns}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if h.Name == name {
			return nil, errors.Join(fmt.Errorf("make host %s: the lab already has a host of that name: choose another", name), endNamespace(ns))
		}
	}
	if l.closed {
		return nil, errors.Join(fmt.Errorf("make host %s: %w: it ended meanwhile", name, ErrClosed), endNamespace(ns))
	}
	host.observed = observer.Add(ns.Inode, ns.Sockets)
	l.hosts = append(l.hosts, host)
	l.Journal.Record("lab", "host %s", name)
	return host, nil
}

func (l *Lab) addLink(a, b *Host, byDefault bool) (*Link, error) {
	link, err := l.makeLink(a, b, byDefault)
	if err != nil {
		return nil, err
	}
	return link, link.begin()
}

// makeLink joins a and b by a link that has not begun; with byDefault, b's default route
// leads to a.
func (l *Lab) makeLink(a, b *Host, byDefault bool) (*Link, error) {
	if a == nil || b == nil {
		return nil, errors.New("make a link: a host is nil: make both hosts first")
	}
	what := fmt.Sprintf("link %s and %s", a.Name, b.Name)
	if err := l.checkOpen(what); err != nil {
		return nil, err
	}
	switch {
	case a.lab != l || b.lab != l:
		return nil, fmt.Errorf("%s: a host belongs to another lab: link hosts of one lab", what)
	case a == b:
		return nil, fmt.Errorf("%s: a link needs two hosts: use the loopback of one", what)
	}
	link := &Link{lab: l, ends: [2]*device{{host: a}, {host: b}}}
	if err := l.number(link, byDefault); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := netns.Join(&link.ends[0].End, &link.ends[1].End); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return link, nil
}

// begin returns when the new link can be used.
func (l *Link) begin() error {
	a, b := l.ends[0].host, l.ends[1].host
	if err := l.await(context.Background()); err != nil {
		return fmt.Errorf("link %s and %s: %w", a.Name, b.Name, err)
	}
	l.lab.Journal.Record("lab", "link %s: %s %s %s, %s %s %s", l,
		a.Name, l.Addr(a, IPv4), l.Addr(a, IPv6), b.Name, l.Addr(b, IPv4), l.Addr(b, IPv6))
	return nil
}

// number enters the link into the lab and its ends into their hosts, with the
// names and addresses that follow from the order.
func (l *Lab) number(link *Link, byDefault bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.links) + 1
	if n > maxLinks {
		return fmt.Errorf("the lab has %d links already: its IPv4 range has no subnet left: use another lab", maxLinks)
	}
	l.links = append(l.links, link)
	for i, end := range link.ends {
		end.Name, end.Index = "eth"+strconv.Itoa(len(end.host.devices)), firstDevice+len(end.host.devices)
		end.In = end.host.ns
		for _, family := range Families {
			prefix := linkPrefix(family, n, i+1)
			end.Addresses = append(end.Addresses, prefix)
			l.owners[prefix.Addr()] = end.host
			if byDefault && i == 1 {
				end.Gateways = append(end.Gateways, link.ends[0].addr(family))
			}
		}
		end.host.devices = append(end.host.devices, end)
	}
	return nil
}

// Owner returns the host that has the address, or nil.
func (l *Lab) Owner(address netip.Addr) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owners[address.Unmap()]
}

// AtEnd has f called when the lab ends, while it can still be used and before it
// looks at what was left behind; the function that was given last is called
// first. A fault that lasts heals itself this way. Where the lab is at its end
// already, f is called at once and the error wraps [ErrClosed].
func (l *Lab) AtEnd(f func(context.Context) error) error {
	l.mu.Lock()
	ending := l.ending
	if !ending {
		l.atEnd = append(l.atEnd, f)
	}
	l.mu.Unlock()
	if !ending {
		return nil
	}
	ctx, cancel := l.context()
	defer cancel()
	return errors.Join(fmt.Errorf("call a function at the end of the lab: %w: it ended meanwhile", ErrClosed), f(ctx))
}

func (l *Lab) checkOpen(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("%s: %w: it ended with its test", what, ErrClosed)
	}
	return nil
}

// report is what a failed test prints: the end of the journal, what the
// processes wrote last, and how to repeat the run.
func (l *Lab) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "journal:\n%s", l.Journal.Tail(60))
	l.mu.Lock()
	processes := append([]*Process(nil), l.processes...)
	l.mu.Unlock()
	for i, p := range processes {
		if i == 8 {
			fmt.Fprintf(&b, "(output of %d more processes left out)\n", len(processes)-i)
			break
		}
		b.WriteString(p.outputTail(12))
	}
	sudo := ""
	if manyUsers() {
		sudo = "sudo "
	}
	fmt.Fprintf(&b, "%s\n", aboutDeadlines())
	fmt.Fprintf(&b, "repeat with: %s%s=%d go test %s -run %s -count=1\n",
		sudo, SeedEnv, l.Seed, packagePath(), shellQuoted(runPattern(l.tb.Name())))
	return b.String()
}

// packagePath returns the import path of the package under test.
func packagePath() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" {
		return "."
	}
	return strings.TrimSuffix(info.Path, ".test")
}

// runPattern returns the -run argument that selects just the named test.
func runPattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// grace is how long a stopped process has before it is killed: so long, or less where the
// test's own deadline is near.
func (l *Lab) grace(grace time.Duration) time.Duration {
	if t, ok := l.tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := t.Deadline(); ok {
			grace = max(min(grace, time.Until(deadline)/4), 0)
		}
	}
	return grace
}
