// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/inject"
)

// tryAll tries each feature that the rig may miss, by the smallest real use of it, each in
// a lab of its own, and calls tell with what came of it. What does not answer is unknown,
// and so is what was not tried because all of them together took too long. Where a host
// and a process do not work, nothing else is tried.
func tryAll(tb rig.TB, tell func(finding)) {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*rig.Patience())
	defer cancel()
	working := map[string]bool{"": true}
	for _, p := range features {
		if !working[p.needs] {
			continue
		}
		f := p.finding(ctx, tb, rig.Patience()/4)
		working[p.name] = f.State == works
		tell(f)
		if f.Essential && f.State == missing {
			tell(finding{Name: "features", State: unknown, Detail: "not tried, since " + p.name + " does not work",
				Costs: nothingRuns, Remedy: "see the remedy of " + p.name})
			return
		}
	}
	askFacts(ctx, tell)
}

// probe tries one feature.
type probe struct {
	name   string
	detail string // says what works, where it does
	costs  string // [nothingRuns] where the feature is essential
	remedy string // for errors other than a [rig.MissingError], which has its own
	needs  string // another feature, without which this one is not tried; "" is none
	try    func(ctx context.Context, l *lab) error
}

// features are tried in this order. The essential ones come first.
var features = []probe{
	{"host", "two hosts, a link and a connection over IPv4", nothingRuns,
		"give CAP_SYS_ADMIN and CAP_NET_ADMIN, and use a kernel with CONFIG_VETH and CONFIG_INET_DIAG",
		"", func(ctx context.Context, l *lab) error { return l.connect(ctx, rig.IPv4) }},
	{"process", "a process on a host, its descriptors and its end", nothingRuns,
		"give CAP_SYS_CHROOT besides CAP_SYS_ADMIN and CAP_NET_ADMIN, and use Linux 5.9 or later",
		"", func(ctx context.Context, l *lab) error {
			return l.observe(ctx, "", (*lab).descriptors, (*lab).kill)
		}},
	{string(rig.FeatureIPv6), "a connection over IPv6", "every check over IPv6 is skipped (-family 6)",
		"boot without ipv6.disable=1, with CONFIG_IPV6",
		"", func(ctx context.Context, l *lab) error { return l.connect(ctx, rig.IPv6) }},
	{string(rig.FeatureUsers), "a process as user " + otherUser, "-subject-user and Command.User",
		"give CAP_SETUID and CAP_SETGID (in a container: --cap-add)",
		"", func(ctx context.Context, l *lab) error { return l.observe(ctx, otherUser) }},
	{"users-observed", "signals, descriptors, limits, waits and socket options of another user's process",
		"-subject-user",
		"run as root of the machine, with every capability (in a container: --cap-add SYS_PTRACE, DAC_READ_SEARCH, " +
			"SETUID, SETGID and KILL; with Docker's seccomp profile seccomp=unconfined)",
		string(rig.FeatureUsers), func(ctx context.Context, l *lab) error {
			return l.observe(ctx, otherUser, (*lab).descriptors, (*lab).limits, (*lab).waits, (*lab).options, (*lab).kill)
		}},
	{string(rig.FeatureProcSyscall), "the rig sees in which system call a process waits (/proc/PID/syscall)",
		"checks take a subject that waits with a timer for one that waits for ever",
		"use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK, with kernel.yama.ptrace_scope below 3",
		"", func(ctx context.Context, l *lab) error { return l.observe(ctx, "", (*lab).waits) }},
	{"socket-options", "the rig reads socket options of a process (pidfd_getfd)", "the check vanished-client",
		"give CAP_SYS_PTRACE or allow pidfd_getfd in the seccomp profile (in a container: --cap-add SYS_PTRACE or seccomp=unconfined)",
		"", func(ctx context.Context, l *lab) error { return l.observe(ctx, "", (*lab).options) }},
	{string(inject.FeatureSeccompNotify), "a system call fails because the rig says so",
		"the checks accept-aborted, accept-short and eintr-sweep, and all of rig/inject",
		"use Linux 5.9 or later with CONFIG_SECCOMP_FILTER, on amd64 or arm64",
		"", func(ctx context.Context, l *lab) error { return l.inject(ctx) }},
	{string(rig.FeatureSockDestroy), "a connection is destroyed from outside", "the faults Destroy and PowerCut",
		"use a kernel with CONFIG_INET_DIAG_DESTROY",
		"", func(ctx context.Context, l *lab) error {
			return l.connected(ctx, rig.IPv4, func() error {
				_, err := fault.Apply(ctx, l.lab, fault.Destroy{Host: l.a})
				return err
			})
		}},
	{string(rig.FeatureTimeNamespace), "a process has clocks of its own", "the fault ClockJump and Command.ClockOffset",
		"use Linux 6.2 or later with CONFIG_TIME_NS, and give CAP_SYS_TIME",
		"", func(_ context.Context, l *lab) error {
			_, err := l.b.Start(l.command("", time.Hour))
			return err
		}},
	{string(rig.FeaturePIDMax), "the kernel refuses every fork of a host",
		"the fault NoFork; fork-failure runs the subject as another user, or skips it",
		"use Linux 6.14 or later with CONFIG_CHECKPOINT_RESTORE, on a machine of at most 128 processors",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.NoFork{Host: l.b}, nil)
		}},
	{string(rig.FeatureNftables), "rules filter packets", "the faults Partition and Reset, and MTU with Silent",
		"use a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and CONFIG_NFT_REJECT_INET",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.Reset{From: []*rig.Host{l.a}, To: []*rig.Host{l.b}}, syscall.ECONNREFUSED)
		}},
	{string(rig.FeatureConntrack), "rules follow connections", "the fault Reset with AfterBytes or Both",
		"use a kernel with CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.Reset{From: []*rig.Host{l.a}, To: []*rig.Host{l.b}, Both: true}, syscall.ECONNREFUSED)
		}},
	{string(rig.FeaturePacketSocket), "the rig relays the packets of a link", "the fault Impairment without InKernel",
		"use a kernel with CONFIG_PACKET, and give CAP_NET_RAW",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.Impairment{Link: l.link, From: l.a, Delay: time.Millisecond, Tally: &fault.Tally{}}, nil)
		}},
	{string(rig.FeatureNetem), "the kernel delays packets of a link", "the fault Impairment with InKernel, which no check needs; without InKernel it works on every kernel", "",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.Impairment{Link: l.link, From: l.a, Delay: time.Millisecond, InKernel: true}, nil)
		}},
	{string(rig.FeatureTBF), "the kernel limits the rate of a link",
		"the fault Impairment with InKernel and RateBitsPerSecond alone, which no check needs; without InKernel it works on every kernel", "",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.Impairment{Link: l.link, From: l.a, RateBitsPerSecond: 100_000_000, InKernel: true}, nil)
		}},
	{"disk", "a disk of the lab, which is full", "the fault FullDisk", "use a kernel with CONFIG_TMPFS",
		"", func(ctx context.Context, l *lab) error {
			return l.apply(ctx, fault.FullDisk{Disk: l.lab.NewDisk(1 << 20)}, nil)
		}},
}

// finding tries the feature, with a context that ends after a time. It leaves a probe
// alone that has not answered after twice that.
func (p probe) finding(ctx context.Context, tb rig.TB, within time.Duration) finding {
	f := finding{Name: p.name, Essential: p.costs == nothingRuns, State: unknown, Costs: p.costs, Remedy: p.remedy}
	if ctx.Err() != nil {
		f.Detail = fmt.Sprintf("not tried: the earlier tests took too long (%v)", ctx.Err())
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		outcome := rig.Sub(ctx, tb, func(tb rig.TB) { err = p.try(ctx, newLab(tb)) })
		if err == nil && outcome.Failed {
			err = errors.New(firstLine(outcome.Log))
		}
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-time.After(2 * within): // for one that does not look at ctx
		f.Detail = fmt.Sprintf("no answer after %v", 2*within)
		return f
	}
	if err == nil {
		f.Detail = p.detail
		return f.working(true)
	}
	if !errors.Is(err, context.DeadlineExceeded) || f.Essential {
		f.State = missing
	}
	f.Detail = err.Error()
	if lacks := (*rig.MissingError)(nil); errors.As(err, &lacks) {
		f.Detail, f.Remedy = "this machine lacks it", lacks.Remedy
		if lacks.Err != nil {
			f.Detail += ": " + lacks.Err.Error()
		}
	}
	return f
}

// otherUser is the user nobody on most systems.
const otherUser = "65534"

// lab is what probes need: two hosts, a link, and a process that may be started on b.
type lab struct {
	lab  *rig.Lab
	a, b *rig.Host
	link *rig.Link
	info rig.ProcessInfo // of the process that observe started
}

func newLab(tb rig.TB) *lab {
	l := &lab{lab: rig.New(tb)}
	l.a, l.b = l.lab.NewHost("a"), l.lab.NewHost("b")
	l.link = l.lab.NewLink(l.a, l.b)
	return l
}

const probePort = 7001

func (l *lab) address(family rig.Family) netip.AddrPort {
	return netip.AddrPortFrom(l.b.MustAddr(family), probePort)
}

// connect connects from host a to host b.
func (l *lab) connect(ctx context.Context, family rig.Family) error {
	return l.connected(ctx, family, func() error { return nil })
}

// connected calls f while a connection from host a to host b is there.
func (l *lab) connected(ctx context.Context, family rig.Family, f func() error) error {
	listener, err := l.b.Listen(ctx, l.address(family))
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, err := l.a.Dial(ctx, l.address(family))
	if err != nil {
		return err
	}
	defer conn.Close()
	return f()
}

// apply applies the fault, connects, which gives the error that is wanted, and heals it.
func (l *lab) apply(ctx context.Context, f fault.Fault, want error) error {
	applied, err := fault.Apply(ctx, l.lab, f)
	if err != nil {
		return err
	}
	switch err := l.connect(ctx, rig.IPv4); {
	case err == nil && want != nil:
		return errors.New("the kernel has the rules, but does not apply them")
	case !errors.Is(err, want):
		return err
	}
	return applied.Heal(ctx)
}

// ProgramName is the name by which the programs of rig.Dispatch must have [Program].
const ProgramName = "doctor"

// Program is what probes run on hosts: a helper program of package rig. It listens at the
// address in its argument and says so, waits for the end of its input, calls chdir, and
// prints what came of that.
func Program(args []string) int {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // its sockets do not have every option of TCP
	listener, err := config.Listen(context.Background(), "tcp", args[len(args)-1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig doctor: %v\n", err)
		return 1
	}
	defer listener.Close()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin)) // an error is an end, too
	fmt.Println(syscall.Chdir("/"))
	return 0
}

// command is [Program] on host b, as a user and with clocks that are ahead. The end of its
// input ends it where the rig lacks the right to send signals.
func (l *lab) command(user string, ahead time.Duration) rig.Command {
	return rig.Command{Args: rig.Program(ProgramName, l.address(rig.IPv4).String()).Args, Stdin: true, User: user, ClockOffset: ahead}
}

// observe starts a process as a user, or with "" as that of the rig, and looks at it in each
// of the ways. All that cannot be seen is in the error.
func (l *lab) observe(ctx context.Context, user string, looks ...func(*lab, context.Context, *rig.Process) error) error {
	p, err := l.b.Start(l.command(user, 0))
	if err != nil {
		return err
	}
	if _, err = p.Stdout.AwaitLine(ctx, "the process to be ready", func(string) bool { return true }); err == nil {
		l.info, err = p.Info()
	}
	errs := []error{err}
	for _, look := range looks {
		errs = append(errs, look(l, ctx, p))
	}
	if err := p.Stdin.Close(); err == nil { // it was closed where the process was killed
		_, err = p.Wait(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *lab) descriptors(_ context.Context, p *rig.Process) error {
	_, err := p.FDs()
	return err
}

func (l *lab) kill(ctx context.Context, p *rig.Process) error { return p.Kill(ctx) }

func (l *lab) limits(context.Context, *rig.Process) error {
	restore, err := l.b.SetLimit(l.info, rig.UserProcesses, 0)
	if err != nil {
		return err
	}
	return restore()
}

func (l *lab) waits(context.Context, *rig.Process) error {
	_, err := l.b.WaitsWithTimer(l.info)
	return err
}

func (l *lab) options(context.Context, *rig.Process) error {
	sockets, err := l.b.Sockets()
	if err != nil {
		return err
	}
	for _, listener := range sockets.On(probePort).In(rig.Listening) {
		_, err = l.b.Endurance(l.info, listener.Inode)
	}
	return err
}

// inject has a call of a process fail that would not.
func (l *lab) inject(ctx context.Context) error {
	session, err := inject.Start(ctx, l.b, l.command("", 0), "chdir")
	if err != nil {
		return err
	}
	p := session.Process
	if _, err := p.Stdout.AwaitLine(ctx, "the process to be ready", func(line string) bool { return line == "ready" }); err != nil {
		return err
	}
	if err := session.Set(inject.Rule{Errno: syscall.EIO}); err != nil {
		return err
	}
	if err := p.Stdin.Close(); err != nil {
		return err
	}
	answer, err := p.Stdout.AwaitLine(ctx, "what came of chdir", func(line string) bool { return line != "ready" })
	if err == nil && answer != syscall.EIO.Error() {
		err = fmt.Errorf("chdir was to fail with %q and gave %q", syscall.EIO.Error(), answer)
	}
	return err
}
