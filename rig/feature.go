// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Feature names something of the machine that a lab can do without but a
// particular scenario cannot.
type Feature string

// The features a lab may miss.
const (
	// FeatureIPv6 is IPv6 in new network namespaces. It is missing where the
	// kernel was started with ipv6.disable=1 or built without CONFIG_IPV6.
	FeatureIPv6 Feature = "ipv6"
	// FeatureUsers is running a process as another user. A sandbox made without
	// root has one user only (user_namespaces(7)).
	FeatureUsers Feature = "users"
	// FeatureSockDestroy is closing a foreign socket. Requires
	// CONFIG_INET_DIAG_DESTROY.
	FeatureSockDestroy Feature = "sock-destroy"
	// FeatureProcSyscall is seeing in which system call a thread waits
	// (/proc/PID/task/TID/syscall). Requires CONFIG_HAVE_ARCH_TRACEHOOK.
	FeatureProcSyscall Feature = "proc-syscall"
	// FeatureTimeNamespace is starting a process under clocks of its own
	// ([Command.ClockOffset]). Requires CONFIG_TIME_NS, a kernel in which execve(2)
	// enters the namespace (Linux 6.2, commit
	// 2b5f9dad32ed19e8db3b0f10a84aa824a219803b), CAP_SYS_ADMIN and CAP_SYS_TIME, which a
	// sandbox made without root has in its own user namespace.
	FeatureTimeNamespace Feature = "time-namespace"
	// FeaturePIDMax is a limit on the numbers of the processes of one host, by which
	// [Host.RefuseForks] works. Requires Linux 6.14 (kernel.pid_max of a PID namespace,
	// commit 7863dcc72d0f4b13a641065670426435448b3d80), CONFIG_CHECKPOINT_RESTORE, and at
	// most 128 processors.
	FeaturePIDMax Feature = "pid-max"
	// FeatureKernelLog is reading the kernel's log, in which crashes of workers stand
	// ([Lab.ExpectCrash]). Requires /dev/kmsg and CAP_SYSLOG, or a
	// kernel.dmesg_restrict of 0.
	FeatureKernelLog Feature = "kernel-log"
	// FeatureNftables is filtering packets by rules. Requires CONFIG_NF_TABLES and
	// CONFIG_NF_TABLES_INET.
	FeatureNftables Feature = "nftables"
	// FeatureConntrack is following connections in such rules. Requires
	// CONFIG_NFT_CT and CONFIG_NF_CONNTRACK with marks.
	FeatureConntrack Feature = "conntrack"
	// FeaturePacketSocket is sending and receiving whole frames (packet(7)).
	// Requires CONFIG_PACKET and CAP_NET_RAW.
	FeaturePacketSocket Feature = "packet-socket"
	// FeatureNetem is the kernel's own impairment of a link (tc-netem(8)). Requires
	// CONFIG_NET_SCH_NETEM.
	FeatureNetem Feature = "netem"
	// FeatureTBF is the kernel's own limit of a link's rate (tc-tbf(8)). Requires
	// CONFIG_NET_SCH_TBF.
	FeatureTBF Feature = "tbf"
)

// Kernel returns the release of the running kernel, as uname -r prints it, or ""
// on a system without /proc.
func Kernel() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(release))
}

// MissingError says that the machine lacks a feature, and what to do about it.
type MissingError struct {
	Feature Feature
	Remedy  string
	Err     error // what the kernel answered; may be nil
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("this machine lacks %s", e.Feature)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text + ": " + e.Remedy
}

func (e *MissingError) Unwrap() error { return e.Err }

// RequireEnv is the environment variable that turns skips for missing features
// into failures: a comma-separated list of features, or "all". A minus in front
// takes one out: "all,-netem". CI sets it, so that a skip cannot go unnoticed.
const RequireEnv = "FORKRIG_REQUIRE"

// SkipIfMissing does nothing where err is nil, skips the test where err is a
// [MissingError] whose feature [RequireEnv] does not name, and otherwise fails
// the test with err. Call it on the test's goroutine.
func SkipIfMissing(tb TB, err error) {
	tb.Helper()
	var missing *MissingError
	switch {
	case err == nil:
	case !errors.As(err, &missing):
		tb.Fatal(err)
	case required(missing.Feature):
		tb.Fatalf("%v; %s=%s requires it", err, RequireEnv, os.Getenv(RequireEnv))
	default:
		if r, ok := tb.(interface{ skipMissing(*MissingError) }); ok {
			r.skipMissing(missing)
		}
		tb.Skip(err)
	}
}

// NeedPrograms skips the test, as [SkipIfMissing] does, where a program that it starts is not
// installed; the feature that is missing has the program's name.
func NeedPrograms(tb TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			SkipIfMissing(tb, &MissingError{Feature: Feature(name), Err: err, Remedy: "install the program"})
		}
	}
}

func required(f Feature) bool {
	named := false
	for name := range strings.SplitSeq(os.Getenv(RequireEnv), ",") {
		switch strings.TrimSpace(name) {
		case "all", string(f):
			named = true
		case "-" + string(f):
			return false
		}
	}
	return named
}
