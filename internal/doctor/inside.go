// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/inject"
)

// Inside tries each feature that the rig may miss, by the smallest real use of it, and
// returns what came of it. Call it in a sandbox ([rig.Sandboxed]) whose programs have
// [Program] as [ProgramName] and inject.Shim as "inject". Each trial is a lab of its
// own and has a deadline. What does not answer is Unknown, and so is what was not tried
// because all of them together took too long. A feature that is a part of another one is
// left out where that one does not work.
func Inside(tb rig.TB) []Finding {
	var all []Finding
	inside(tb, func(f Finding) { all = append(all, f) })
	return all
}

// inside calls tell with each finding as soon as it is there.
func inside(tb rig.TB, tell func(Finding)) {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*rig.Patience())
	defer cancel()
	working := map[string]bool{}
	for _, p := range probes {
		if p.needs != "" && !working[p.needs] {
			continue
		}
		f := p.finding(ctx, tb, probeDeadline())
		working[p.name] = f.State == Works
		tell(f)
		if f.Essential && f.State == Missing {
			tell(Finding{Name: "features", State: Unknown, Detail: "not tried, since " + p.name + " does not work",
				Costs: nothingRuns, Remedy: "see the remedy of " + p.name})
			return
		}
	}
}

// probe tries one feature.
type probe struct {
	name      string
	essential bool
	// detail says what works, where it does.
	detail, costs string
	// remedy is for errors other than a [rig.MissingError], which has its own.
	remedy string
	// limited says that the rig does without, and only worse.
	limited bool
	// needs is the feature that this one is a part of: see [Inside].
	needs string
	try   func(ctx context.Context, l *labOfTwo) error
}

// probeDeadline is how long a probe may take, and again what it leaves behind. Each takes some milliseconds on an idle
// machine.
func probeDeadline() time.Duration { return rig.Patience() / 4 }

// finding tries the feature, with a context that ends after a time. It leaves a probe
// alone that has not answered after twice that.
func (p probe) finding(ctx context.Context, tb rig.TB, within time.Duration) Finding {
	f := Finding{Name: p.name, Essential: p.essential, State: Unknown, Costs: p.costs, Remedy: p.remedy}
	if ctx.Err() != nil {
		f.Detail = fmt.Sprintf("not tried: what was tried before took too long (%v)", ctx.Err())
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	type result struct {
		err     error
		outcome rig.Outcome
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.outcome = rig.Sub(ctx, tb, func(tb rig.TB) { r.err = p.try(ctx, newLabOfTwo(tb)) })
		done <- r
	}()
	var r result
	select {
	case r = <-done:
	case <-time.After(2 * within): // for one that does not look at ctx
		f.Detail = fmt.Sprintf("no answer after %v", 2*within)
		return f
	}
	if r.err == nil && r.outcome.Failed {
		r.err = errors.New(firstLine(r.outcome.Log))
	}
	var missing *rig.MissingError
	switch {
	case r.err == nil:
		return Finding{Name: p.name, Essential: p.essential, State: Works, Detail: p.detail}
	case errors.As(r.err, &missing):
		f.State, f.Remedy = Missing, missing.Remedy
		f.Detail = missingDetail(missing)
	case errors.Is(r.err, context.DeadlineExceeded) && !p.essential:
		f.Detail = r.err.Error()
	default:
		f.State, f.Detail = Missing, r.err.Error()
	}
	if p.limited && f.State == Missing {
		f.State = Limited
	}
	return f
}

func missingDetail(missing *rig.MissingError) string {
	if missing.Err == nil {
		return "this machine lacks it"
	}
	return "this machine lacks it: " + missing.Err.Error()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// remedyForUsers is for what one user's process may not do to another's.
const remedyForUsers = "run as root of the machine, with every capability (in a container: --cap-add SYS_PTRACE, DAC_READ_SEARCH, " +
	"SETUID, SETGID and KILL; with Docker's seccomp profile seccomp=unconfined)"

// probes are tried in this order. Those of essential features come first.
var probes = []probe{
	{
		name: "host", essential: true, detail: "two hosts, a link and a connection over IPv4",
		costs: nothingRuns, remedy: "give CAP_SYS_ADMIN and CAP_NET_ADMIN, and use a kernel with CONFIG_VETH and CONFIG_INET_DIAG",
		try: func(ctx context.Context, l *labOfTwo) error { return l.connect(ctx, rig.IPv4) },
	},
	{
		name: "process", essential: true, detail: "a process on a host, its descriptors and its end",
		costs: nothingRuns, remedy: "give CAP_SYS_CHROOT besides CAP_SYS_ADMIN and CAP_NET_ADMIN, and use Linux 5.9 or later",
		try: func(ctx context.Context, l *labOfTwo) error {
			p, _, err := l.waiting(ctx, "")
			if err != nil {
				return err
			}
			if _, err := p.FDs(); err != nil {
				return err
			}
			return p.Kill(ctx)
		},
	},
	{
		name: string(rig.FeatureIPv6), detail: "a connection over IPv6",
		costs:  "every check over IPv6 is skipped (-family 6)",
		remedy: "boot without ipv6.disable=1, with CONFIG_IPV6",
		try:    func(ctx context.Context, l *labOfTwo) error { return l.connect(ctx, rig.IPv6) },
	},
	{
		name: string(rig.FeatureUsers), detail: "a process as user " + otherUserID,
		costs: "-subject-user and Command.User; where it lacks, fork-failure runs the subject as the only user that is there",
		try: func(ctx context.Context, l *labOfTwo) error {
			p, err := l.a.Start(rig.Command{Args: programArgs("uid"), User: otherUserID})
			if err != nil {
				return err
			}
			if _, err := p.Stdout.AwaitLine(ctx, "the user's number", func(line string) bool { return line == otherUserID }); err != nil {
				return err
			}
			_, err = p.Wait(ctx)
			return err
		},
		remedy: "give CAP_SETUID and CAP_SETGID (in a container: --cap-add)",
	},
	{
		name: "users-signals", needs: string(rig.FeatureUsers), detail: "the rig sends signals to another user's process",
		costs: "-subject-user, and fork-failure: the subject cannot be stopped", remedy: remedyForUsers,
		try: func(ctx context.Context, l *labOfTwo) error {
			p, _, err := l.waiting(ctx, otherUserID)
			if err != nil {
				return err
			}
			return p.Kill(ctx)
		},
	},
	{
		name: "users-descriptors", needs: string(rig.FeatureUsers), detail: "the rig reads descriptors of another user's process",
		costs: "-subject-user, and fork-failure: nothing is known of the subject's listener", remedy: remedyForUsers,
		try: func(ctx context.Context, l *labOfTwo) error {
			p, _, err := l.waiting(ctx, otherUserID)
			if err != nil {
				return err
			}
			_, err = p.FDs()
			return err
		},
	},
	{
		name: "users-limits", needs: string(rig.FeatureUsers), detail: "the rig limits another user's process",
		costs: "-subject-user with accept-errors, and fork-failure", remedy: remedyForUsers,
		try: func(ctx context.Context, l *labOfTwo) error {
			_, info, err := l.waiting(ctx, otherUserID)
			if err != nil {
				return err
			}
			restore, err := l.a.SetLimit(info, rig.UserProcesses, 0)
			if err != nil {
				return err
			}
			return restore()
		},
	},
	{
		name: "users-waits", needs: string(rig.FeatureUsers), detail: "the rig sees in which system call another user's process waits",
		costs: "-subject-user, and fork-failure: a subject that waits with a timer is taken for one that waits for ever", remedy: remedyForUsers,
		try: func(ctx context.Context, l *labOfTwo) error { return l.seesWait(ctx, otherUserID) },
	},
	{
		name: "users-socket-options", needs: "users-descriptors", detail: "the rig reads socket options of another user's process",
		costs: "-subject-user with vanished-client", remedy: remedyForUsers,
		try: func(ctx context.Context, l *labOfTwo) error { return l.seesOptions(ctx, otherUserID) },
	},
	{
		name: "waits", detail: "the rig sees in which system call a process waits (/proc/PID/syscall)",
		costs:  "a subject that waits with a timer is taken for one that waits for ever, in checks that wait for its rest",
		remedy: "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK, with kernel.yama.ptrace_scope below 3",
		try:    func(ctx context.Context, l *labOfTwo) error { return l.seesWait(ctx, "") },
	},
	{
		name: "socket-options", detail: "the rig reads socket options of a process (pidfd_getfd)",
		costs:  "the check vanished-client",
		remedy: "give CAP_SYS_PTRACE or allow pidfd_getfd in the seccomp profile (in a container: --cap-add SYS_PTRACE or seccomp=unconfined)",
		try:    func(ctx context.Context, l *labOfTwo) error { return l.seesOptions(ctx, "") },
	},
	{
		name: string(inject.FeatureSeccompNotify), detail: "a system call fails because the rig says so",
		costs:  "the checks accept-errors and eintr-sweep, and all of rig/inject",
		remedy: "use Linux 5.9 or later with CONFIG_SECCOMP_FILTER, on amd64 or arm64",
		try:    tryInject,
	},
	{
		name: string(rig.FeatureSockDestroy), detail: "a connection is destroyed from outside",
		costs: "the faults Destroy and PowerCut",
		try: func(ctx context.Context, l *labOfTwo) error {
			return l.withConnection(ctx, rig.IPv4, func(net.Conn) error {
				return l.apply(ctx, fault.Destroy{Host: l.a})
			})
		},
	},
	{
		name: string(rig.FeatureTimeNamespace), detail: "a process has clocks of its own",
		costs: "the fault ClockJump and Command.ClockOffset",
		try: func(ctx context.Context, l *labOfTwo) error {
			p, err := l.a.Start(rig.Command{Args: programArgs("uid"), ClockOffset: time.Hour})
			if err != nil {
				return err
			}
			_, err = p.Wait(ctx)
			return err
		},
	},
	{
		name: string(rig.FeatureNftables), detail: "rules filter packets",
		costs:  "the faults Partition and Reset, and MTU with Silent",
		remedy: "use a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and CONFIG_NFT_REJECT_INET",
		try: func(ctx context.Context, l *labOfTwo) error {
			err := l.apply(ctx, fault.Partition{Between: []*rig.Host{l.a}, And: []*rig.Host{l.b}})
			if err != nil {
				return err
			}
			return l.refused(ctx, fault.Reset{From: []*rig.Host{l.a}, To: []*rig.Host{l.b}})
		},
	},
	{
		name: string(rig.FeatureConntrack), detail: "rules follow connections",
		costs:  "the fault Reset with AfterBytes or Both",
		remedy: "use a kernel with CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK",
		try: func(ctx context.Context, l *labOfTwo) error {
			return l.refused(ctx, fault.Reset{From: []*rig.Host{l.a}, To: []*rig.Host{l.b}, Both: true})
		},
	},
	{
		name: string(rig.FeaturePacketSocket), detail: "packets of a link take the way through the rig",
		costs:  "the fault Impairment without InKernel",
		remedy: "use a kernel with CONFIG_PACKET, and give CAP_NET_RAW",
		try: func(ctx context.Context, l *labOfTwo) error {
			tally := &fault.Tally{}
			return l.impaired(ctx, fault.Impairment{Delay: time.Millisecond, Tally: tally})
		},
	},
	{
		name: string(rig.FeatureNetem), detail: "the kernel delays packets of a link",
		costs: "the fault Impairment with InKernel; without InKernel it works on every kernel",
		try: func(ctx context.Context, l *labOfTwo) error {
			return l.impaired(ctx, fault.Impairment{Delay: time.Millisecond, InKernel: true})
		},
	},
	{
		name: string(rig.FeatureTBF), detail: "the kernel limits the rate of a link",
		costs: "the fault Impairment with InKernel and RateBitsPerSecond alone; without InKernel it works on every kernel",
		try: func(ctx context.Context, l *labOfTwo) error {
			return l.impaired(ctx, fault.Impairment{RateBitsPerSecond: 100_000_000, InKernel: true})
		},
	},
	{
		name: "disk", detail: "a disk of the lab, which is full",
		costs: "the fault FullDisk", remedy: "use a kernel with CONFIG_TMPFS",
		try: func(ctx context.Context, l *labOfTwo) error {
			return l.apply(ctx, fault.FullDisk{Disk: l.lab.NewDisk(1 << 20)})
		},
	},
	{
		name: "tcp-tables", limited: true, detail: "each host has a table of TCP sockets of its own",
		costs:  "no check; each look at the sockets of a host goes through the table of the whole machine, and is slower",
		remedy: "use Linux 6.1 or later",
		try: func(_ context.Context, l *labOfTwo) error {
			size, err := l.a.Sysctl("net.ipv4.tcp_ehash_entries")
			if err != nil {
				return err
			}
			if strings.HasPrefix(size, "-") { // tcp_ehash_entries in ip-sysctl.rst
				return errors.New("hosts share the table of the machine")
			}
			return nil
		},
	},
	{
		name: "process-limit", limited: true, detail: "each host has a limit on processes of its own (kernel.pid_max)",
		costs:  "no check; a subject that forks without end can take all process numbers before the rig ends its host",
		remedy: "use Linux 6.14 or later",
		try:    tryProcessLimit,
	},
}

// otherUserID is the user nobody on most systems.
const otherUserID = "65534"

// labOfTwo is what most probes need: two hosts and a link.
type labOfTwo struct {
	tb   rig.TB
	lab  *rig.Lab
	a, b *rig.Host
	link *rig.Link
}

func newLabOfTwo(tb rig.TB) *labOfTwo {
	lab := rig.New(tb)
	l := &labOfTwo{tb: tb, lab: lab, a: lab.NewHost("a"), b: lab.NewHost("b")}
	l.link = lab.NewLink(l.a, l.b)
	return l
}

func programArgs(args ...string) []string { return rig.Program(ProgramName, args...).Args }

// start starts [Program] on the host, with its input. The end of the input ends the
// program before the lab would stop it by signals, which the rig may lack the right to
// send.
func (l *labOfTwo) start(host *rig.Host, user string, args ...string) (*rig.Process, error) {
	p, err := host.Start(rig.Command{Args: programArgs(args...), Stdin: true, User: user})
	if err != nil {
		return nil, err
	}
	l.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), probeDeadline())
		defer cancel()
		_ = p.Stdin.Close() // an error: it was closed before
		_, _ = p.Wait(ctx)  // the lab reports a process that stays
	})
	return p, nil
}

// waiting starts a process that waits for its input, as a user or, with "", as that of
// the rig.
func (l *labOfTwo) waiting(ctx context.Context, user string) (*rig.Process, rig.ProcessInfo, error) {
	p, err := l.start(l.a, user, "wait")
	if err != nil {
		return nil, rig.ProcessInfo{}, err
	}
	if _, err := p.Stdout.AwaitLine(ctx, "the process to be ready", isReady); err != nil {
		return nil, rig.ProcessInfo{}, err
	}
	info, err := p.Info()
	return p, info, err
}

func isReady(line string) bool { return line == readyLine }

func (l *labOfTwo) seesWait(ctx context.Context, user string) error {
	_, info, err := l.waiting(ctx, user)
	if err != nil {
		return err
	}
	_, err = l.a.WaitsWithTimer(info)
	return err
}

// seesOptions has a process listen on host b, and reads the options of its listener.
func (l *labOfTwo) seesOptions(ctx context.Context, user string) error {
	address, err := l.b.Addr(rig.IPv4)
	if err != nil {
		return err
	}
	p, err := l.start(l.b, user, "listen", netip.AddrPortFrom(address, probePort).String())
	if err != nil {
		return err
	}
	listener, err := l.b.AwaitListen(ctx, p, probePort)
	if err != nil {
		return err
	}
	info, err := p.Info()
	if err != nil {
		return err
	}
	_, err = l.b.Endurance(info, listener.Inode)
	return err
}

const probePort = 7001

// connect sends a byte from host a to host b.
func (l *labOfTwo) connect(ctx context.Context, family rig.Family) error {
	return l.withConnection(ctx, family, func(net.Conn) error { return nil })
}

// withConnection calls f with a's end of a connection on which a byte has come.
func (l *labOfTwo) withConnection(ctx context.Context, family rig.Family, f func(net.Conn) error) error {
	address, err := l.b.Addr(family)
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(address, probePort)
	listener, err := l.b.Listen(ctx, at)
	if err != nil {
		return err
	}
	type result struct {
		conn net.Conn
		err  error
	}
	accepted := make(chan result, 1)
	go func() {
		var r result
		if r.conn, r.err = listener.Accept(); r.err == nil {
			_, r.err = r.conn.Write([]byte("!"))
		}
		accepted <- r
	}()
	dialed, err := l.a.Dial(ctx, at)
	if err == nil {
		defer dialed.Close()
		if deadline, has := ctx.Deadline(); has {
			_ = dialed.SetDeadline(deadline) // an error: the connection has failed, and so does the read
		}
		if _, err = dialed.Read(make([]byte, 1)); err != nil {
			err = fmt.Errorf("read a byte from %v: %w", at, err)
		}
	}
	listener.Close() // so that accept ends
	r := <-accepted
	if r.conn != nil {
		defer r.conn.Close()
	}
	if err != nil {
		return err
	}
	if r.err != nil {
		return r.err
	}
	return f(dialed)
}

// apply applies the fault and heals it.
func (l *labOfTwo) apply(ctx context.Context, f fault.Fault) error {
	applied, err := fault.Apply(ctx, l.lab, f)
	if err != nil {
		return err
	}
	return applied.Heal(ctx)
}

// refused sees that a connection is refused while the fault is there.
func (l *labOfTwo) refused(ctx context.Context, f fault.Fault) error {
	applied, err := fault.Apply(ctx, l.lab, f)
	if err != nil {
		return err
	}
	err = l.connect(ctx, rig.IPv4)
	if err == nil {
		return errors.New("the rules are there, and the kernel does not obey them")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return applied.Heal(ctx)
}

// impaired sends a byte over the link, which the impairment is of.
func (l *labOfTwo) impaired(ctx context.Context, f fault.Impairment) error {
	f.Link, f.From = l.link, l.a
	applied, err := fault.Apply(ctx, l.lab, f)
	if err != nil {
		return err
	}
	if err := l.connect(ctx, rig.IPv4); err != nil {
		return err
	}
	return applied.Heal(ctx)
}

// tryInject has a call of a process fail that would not.
func tryInject(ctx context.Context, l *labOfTwo) error {
	const call = "chdir"
	session, err := inject.Start(ctx, l.a, rig.Command{Args: programArgs("chdir"), Stdin: true}, call)
	if err != nil {
		return err
	}
	p := session.Process
	if _, err := p.Stdout.AwaitLine(ctx, "the process to be ready", isReady); err != nil {
		return err
	}
	if err := session.Set(inject.Rule{Errno: syscall.EIO}); err != nil {
		return err
	}
	if err := p.Stdin.Close(); err != nil {
		return err
	}
	answer, err := p.Stdout.AwaitLine(ctx, "what came of "+call, func(line string) bool { return line != readyLine })
	if err != nil {
		return err
	}
	if want := syscall.EIO.Error(); answer != want {
		return fmt.Errorf("%s was to fail with %q and gave %q", call, want, answer)
	}
	return nil
}

// tryProcessLimit compares kernel.pid_max on a host and outside of it.
func tryProcessLimit(ctx context.Context, l *labOfTwo) error {
	ours, err := readProcessLimit()
	if err != nil {
		return err
	}
	p, err := l.a.Start(rig.Program(ProgramName, "pid-max"))
	if err != nil {
		return err
	}
	theirs, err := p.Stdout.AwaitLine(ctx, "the limit on processes", func(string) bool { return true })
	if err != nil {
		return err
	}
	if slices.Contains([]string{ours, ""}, theirs) {
		return fmt.Errorf("kernel.pid_max of a host is that of the machine (%s)", ours)
	}
	return nil
}
