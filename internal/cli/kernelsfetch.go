// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"forkrig/kernels"
	"forkrig/kernels/archive"
	"forkrig/kernels/boot"
	"forkrig/scorecard"
)

// fetchKernels fetches the kernels that are named, or the default ones, and QEMU where it is needed
// and not installed.
func fetchKernels(names []string) (int, error) {
	if len(names) == 0 {
		names = kernels.Defaults
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == kernels.Host || strings.Contains(name, "/") })
	told := newOutput(os.Stderr)
	ctx, stop := (&Options{}).bounded(context.Background(), told)
	defer stop()
	a, err := archive.System(ctx)
	if err != nil {
		return statusUnable, err
	}
	progress := newProgress(told, time.Now())
	defer progress.end()
	a.Log = func(line string) { progress.say(scorecard.Printable(line) + "\n") }
	index, err := a.Index(ctx)
	if index == nil {
		return statusUnable, err
	}
	if err != nil { // some suites are there
		told.complain(err)
	}
	for _, suite := range index.Suites {
		if suite.Unverified != "" {
			a.Log(fmt.Sprintf("%s: unverified: %s", suite.Name, suite.Unverified))
		}
	}
	_, qemuErr := boot.InstalledQEMU()
	boots := func(name string) bool {
		return !strings.HasPrefix(name, archive.UserModePrefix) && name != archive.QEMUName
	}
	if errors.Is(qemuErr, exec.ErrNotFound) && slices.ContainsFunc(names, boots) && !slices.Contains(names, archive.QEMUName) {
		names = append(names, archive.QEMUName)
	}
	for i, name := range names {
		progress.Set(i, len(names), "are here")
		set, err := index.Find(name)
		if name == archive.QEMUName {
			set, err = index.QEMU()
		}
		if err != nil {
			return statusUsage, err
		}
		if err := a.Fetch(ctx, set); err != nil {
			return statusUnable, err
		}
		a.Log(arrival(set))
	}
	return statusRight, nil
}

// arrival says that a set is in the cache, and what of it is not.
func arrival(s archive.Set) string {
	line := s.Name + " is here"
	if len(s.Lacks) > 0 {
		line += ", without what the archive no longer has: " + strings.Join(s.Lacks, ", ")
	}
	return line
}

// listKernels says what was fetched.
func listKernels(out *output) (int, error) {
	a, err := archive.System(context.Background())
	if err != nil {
		return statusUnable, err
	}
	all, err := a.Kernels()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return statusUnable, err
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "the cache has no kernel: run forkrig kernels fetch")
		return statusRight, nil
	}
	for _, k := range all {
		lacks, err := lacksOf(k)
		if err != nil {
			return statusUnable, err
		}
		name := k.Name
		for _, line := range append(lacks, kernels.KnownBugs(k.Name)...) {
			fmt.Fprintf(out, "%-16s %s\n", name, line)
			name = ""
		}
		if name != "" {
			fmt.Fprintln(out, name)
		}
	}
	return statusRight, nil
}

// lacksOf says which features of package rig a kernel lacks, and whether its modules are there.
func lacksOf(k archive.Kernel) (lines []string, err error) {
	var config io.Reader // none where the kernel came without one
	if k.Config != "" {
		f, err := os.Open(k.Config)
		if err != nil {
			return nil, fmt.Errorf("read the configuration of %s: %w", k.Name, err)
		}
		defer f.Close()
		config = f
	}
	lacks, err := kernels.Lacks(k.Name, config)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", k.Name, err)
	}
	if k.Modules == "" {
		lines = append(lines, "its modules are not in the cache: features that need one are missing")
	}
	if len(lacks) > 0 {
		line := "lacks " + strings.Join(lacks, ", ")
		if config == nil {
			line += " by its release; its configuration is not in the cache"
		}
		lines = append(lines, line)
	}
	return lines, nil
}
