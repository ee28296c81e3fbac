// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/machine"
	"forkrig/rig/internal/netns"
	"forkrig/rig/internal/sandbox"
	"forkrig/rig/observe"
)

// checkSandbox says whether labs can be made here.
func checkSandbox() error {
	if !sandbox.Inside() {
		return errors.New("make a lab: the tests do not run inside a sandbox: let TestMain call rig.Main(m, nil)")
	}
	return nil
}

// namespacesInUse names the hosts whose network namespace this process holds
// in other ways than the lab does: by a descriptor or by a thread in it.
func namespacesInUse(hosts []*Host) []error {
	if len(hosts) == 0 {
		return nil
	}
	names := map[uint64]string{}
	ours := map[string]bool{}
	for _, h := range hosts {
		names[h.ns.Inode] = h.Name
		ours[descriptorPlace(h.ns.FD())] = true
	}
	var found []error
	for place, inode := range heldNamespaces() {
		if name, known := names[inode]; known && !ours[place] {
			found = append(found, fmt.Errorf("host %s: its network namespace is still held by %s of the test process", name, place))
		}
	}
	return found
}

// heldNamespaces returns the network namespaces that this process holds, by
// where it holds them.
func heldNamespaces() map[string]uint64 {
	held := map[string]uint64{}
	look := func(place func(int) string, directory, rest string, may func(int) bool) {
		entries, _ := os.ReadDir(directory) // what cannot be listed is not held
		for _, entry := range entries {
			number, err := strconv.Atoi(entry.Name())
			if err != nil || !may(number) {
				continue
			}
			if inode := observe.ReadNamespace(filepath.Join(directory, entry.Name(), rest)); inode != 0 {
				held[place(number)] = inode
			}
		}
	}
	look(descriptorPlace, "/proc/self/fd", "", isNamespace())
	look(func(tid int) string { return fmt.Sprintf("thread %d", tid) }, "/proc/self/task", "ns/net", func(int) bool { return true })
	return held
}

// isNamespace returns a function that says whether a descriptor is a namespace of any kind: one
// in the file system that all of them are in, as fstat(2) tells without a look at /proc.
func isNamespace() func(fd int) bool {
	var own unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		return func(int) bool { return true }
	}
	return func(fd int) bool {
		var stat unix.Stat_t
		return unix.Fstat(fd, &stat) == nil && stat.Dev == own.Dev
	}
}

func descriptorPlace(fd int) string { return fmt.Sprintf("descriptor %d", fd) }

// runInSandbox runs f in a sandbox whose network is prepared for hosts.
func runInSandbox(f func() int) (status int, err error) {
	return sandbox.Run(sandbox.Network{Prepare: netns.Prepare, EndConnections: endConnections}, f)
}

// runAndAudit runs the tests and then looks for what they left in the sandbox. Only the
// process that init started looks: others are not alone in the sandbox.
func runAndAudit(runTests func() int) int {
	here = machine.Measure()
	if !sandbox.IsFirst() {
		return runTests()
	}
	var err error
	if dog, err = watch(os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return 1
	}
	var noLog error
	logged, noLog = watchCrashes()
	status := runTests()
	if noLog != nil && verbose() {
		fmt.Fprintf(os.Stderr, "forkrig: crashes of workers are not looked for: %v\n", noLog)
	}
	dog.end()
	// Another run of the same build may have caused it: it is told here, and
	// .ci/run, which runs alone, fails.
	if err := logged.err(); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: after the tests: %v\n", err)
	}
	if err := auditSandbox(); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: after the tests: %v\n", err)
		if status == 0 {
			status = 1
		}
	}
	return status
}

func auditSandbox() error {
	var left ProcessInfos
	start := time.Now()
	err := awaitObserved(context.Background(), "an empty sandbox", observe.Query{Others: true}, func(s *observe.Snapshot) (bool, fmt.Stringer, error) {
		left = s.All().Where(func(i ProcessInfo) bool { return i.PID != 1 && i.PID != os.Getpid() })
		return len(left) == 0 || time.Since(start) >= scaled(Settling), left, nil
	})
	if err != nil {
		return err
	}
	var found []error
	if len(left) > 0 {
		found = append(found, fmt.Errorf("%d processes were left running: %v", len(left), left))
	}
	// This thread's, because the main thread may be the one that is elsewhere.
	own := observe.ReadNamespace("/proc/thread-self/ns/net")
	for place, inode := range heldNamespaces() {
		if inode != own {
			found = append(found, fmt.Errorf("network namespace %d is still held by %s of the test process", inode, place))
		}
	}
	return errors.Join(found...)
}

// verbose says whether the tests were asked to say more (go test -v).
func verbose() bool {
	v := flag.Lookup("test.v")
	return v != nil && v.Value.String() != "false"
}

// quitSignals catches SIGQUIT, which go test sends to a binary that goes on after
// its timeout. restore undoes that.
func quitSignals() (signals <-chan os.Signal, restore func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGQUIT)
	return c, func() { signal.Stop(c) }
}

// quitMyself lets the runtime do on SIGQUIT what it does.
func quitMyself() {
	signal.Reset(unix.SIGQUIT)
	_ = unix.Kill(os.Getpid(), unix.SIGQUIT) // to ourselves it cannot fail
}
