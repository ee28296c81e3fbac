// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Package is one package to fetch.
type Package struct {
	Name, Version string
	SHA256        string
	URL           string // on Debian's own servers
}

// Set is the packages of one kernel, or of QEMU.
type Set struct {
	// Name is the release of a kernel, such as "6.12.43", with "uml:" in front for User-mode
	// Linux, or [QEMUName].
	Name     string
	Packages []Package
	// Lacks are packages of the kernel that the archive does not have any more. Of kernels of
	// 6.19 to 7.1 it has the images and not the modules. A lock file does not say it.
	Lacks []string
}

// QEMUName is the name of the set of QEMU and its libraries.
const QEMUName = "qemu"

// UserModePrefix is what the names of kernels for User-mode Linux begin with.
const UserModePrefix = "uml:"

const (
	umlPackage  = "user-mode-linux"
	qemuPackage = "qemu-system-x86"
	qemuSuite   = "trixie"
)

// notForQEMU are packages that QEMU depends on and that no guest here uses: screens, sound,
// network cards' firmware.
func notForQEMU() []string {
	return []string{"qemu-system-common", "ipxe-qemu", "debconf", "adduser", "base-passwd", "openssl-provider-legacy"}
}

func isKernel(name string) bool { return isCloud(name, "linux-image-") }

// isKernelPart says whether a package has files of a kernel that is split, as from 6.19 on.
func isKernelPart(name string) bool {
	return isCloud(name, "linux-binary-") || isCloud(name, "linux-modules-") || isCloud(name, "linux-base-")
}

// isCloud says whether a name has a release between its begin and the flavour: the name without
// one is a package that depends on the newest.
func isCloud(name, begin string) bool {
	release, found := strings.CutPrefix(name, begin)
	release, isFlavour := strings.CutSuffix(release, "-cloud-amd64")
	return found && isFlavour && release != "" && isDigit(release[0])
}

// Kernels returns the kernels that the suites offer, the oldest first, those of User-mode Linux
// at the end. Of several builds of one release it is the newest.
func (x *Index) Kernels() []Set {
	type build struct {
		set     Set
		version string
	}
	newest := map[string]build{}
	for _, s := range x.Suites {
		for _, p := range s.packages {
			name := nameOf(p)
			if name == "" || newest[name].version != "" && compareVersions(newest[name].version, p.Version) >= 0 {
				continue
			}
			newest[name] = build{x.set(name, s, p), p.Version}
		}
	}
	var all []Set
	for _, b := range newest {
		all = append(all, b.set)
	}
	slices.SortFunc(all, func(a, b Set) int { return compareNames(a.Name, b.Name) })
	return all
}

// compareNames orders kernels by release, those of User-mode Linux after the others.
func compareNames(a, b string) int {
	a, umlA := strings.CutPrefix(a, UserModePrefix)
	b, umlB := strings.CutPrefix(b, UserModePrefix)
	switch {
	case umlA && !umlB:
		return 1
	case umlB && !umlA:
		return -1
	}
	return cmp.Or(compareVersions(a, b), strings.Compare(a, b))
}

// nameOf returns the name of the kernel in a package, or "" where there is none.
func nameOf(p pkg) string {
	switch {
	case isKernel(p.Name):
		return releaseOf(p.Version)
	case p.Name != umlPackage:
		return ""
	}
	for source := range strings.SplitSeq(p.BuiltUsing, ",") { // such as "linux-source-6.1 (= 6.1.176-1)"
		name, version, _ := strings.Cut(strings.TrimSpace(source), " (= ")
		if name == "linux" || strings.HasPrefix(name, "linux-source") {
			return UserModePrefix + releaseOf(strings.TrimSuffix(version, ")"))
		}
	}
	version, _, _ := strings.Cut(p.Version, "um")
	return UserModePrefix + version
}

// releaseOf returns the release of the kernel in a package of that version.
func releaseOf(version string) string {
	_, version = epoch(version)
	upstream, _, _ := strings.Cut(version, "-")
	return upstream
}

// set returns the packages that have the files of a kernel: the parts of one that is split, and
// the C library of the suite for User-mode Linux.
func (x *Index) set(name string, s Suite, p pkg) Set {
	set := Set{Name: name, Packages: []Package{fetchable(s.Name, p)}}
	if p.Name == umlPackage {
		for _, suite := range []string{s.Name, base(s.Name)} {
			libraries := closure(x.suite(suite).packages, p.Depends, nil)
			for _, l := range libraries {
				set.Packages = append(set.Packages, fetchable(suite, l))
			}
			if len(libraries) > 0 {
				break
			}
		}
		return set
	}
	for _, name := range p.Depends {
		if !isKernelPart(name) {
			continue
		}
		i := slices.IndexFunc(s.packages, func(part pkg) bool { return part.Name == name && part.Version == p.Version })
		if i < 0 {
			set.Lacks = append(set.Lacks, name)
			continue
		}
		set.Packages = append(set.Packages, fetchable(s.Name, s.packages[i]))
	}
	return set
}

func (x *Index) suite(name string) Suite {
	i := slices.IndexFunc(x.Suites, func(s Suite) bool { return s.Name == name })
	if i < 0 {
		return Suite{}
	}
	return x.Suites[i]
}

func fetchable(suite string, p pkg) Package {
	return Package{Name: p.Name, Version: p.Version, SHA256: p.SHA256, URL: address(suite) + "/" + p.Filename}
}

// Find returns the newest kernel that a name means: "6.12.43" is that release, "6.12" the newest
// of its series, "uml:7.2" User-mode Linux, and [QEMUName] QEMU.
func (x *Index) Find(name string) (Set, error) {
	if name == QEMUName {
		return x.QEMU()
	}
	all := x.Kernels()
	for _, k := range slices.Backward(all) {
		if Means(name, k.Name) {
			return k, nil
		}
	}
	var offered []string
	for _, k := range all {
		offered = append(offered, k.Name)
	}
	return Set{}, fmt.Errorf("the archive has no kernel %s: it has %s", name, strings.Join(offered, ", "))
}

// Means says whether a name means a kernel: it is the kernel's, or that of its series.
func Means(name, kernel string) bool {
	return name == kernel || strings.HasPrefix(kernel, name+".")
}

// QEMU returns the packages of QEMU with all libraries that it needs.
func (x *Index) QEMU() (Set, error) {
	set := Set{Name: QEMUName}
	for _, p := range closure(x.suite(qemuSuite).packages, []string{qemuPackage}, notForQEMU()) {
		set.Packages = append(set.Packages, fetchable(qemuSuite, p))
	}
	if len(set.Packages) == 0 {
		return set, fmt.Errorf("the index of %s has no %s", qemuSuite, qemuPackage)
	}
	return set, nil
}
