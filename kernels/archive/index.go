// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"forkrig/kernels/internal/compress"
)

// Suite is one release of Debian, or a part of one such as its security updates.
type Suite struct {
	Name string
	// Date is when the suite's release file was made.
	Date string
	// Unverified is why the signature of the release file was not checked. It is "" where
	// it was checked and is right.
	Unverified string

	packages []pkg // those that are wanted here
}

// suiteNames are the suites that have kernels. Each has its own base.
func suiteNames() []string {
	return []string{
		"bullseye", "bullseye-security",
		"bookworm", "bookworm-security", "bookworm-backports",
		"trixie", "trixie-security", "trixie-backports",
		"sid",
	}
}

// base returns the suite that the packages of another one need.
func base(suite string) string {
	name, _, _ := strings.Cut(suite, "-")
	return name
}

// address is where a suite is on Debian's own servers.
func address(suite string) string {
	if strings.HasSuffix(suite, "-security") {
		return securityURL
	}
	return debianURL
}

// Index is what the suites offer.
type Index struct {
	Suites []Suite
}

// Index reads what the suites offer. A suite that cannot be read is an error, beside an index
// of the others. Indexes that have not changed are taken from the cache.
func (a *Archive) Index(ctx context.Context) (*Index, error) {
	names := suiteNames()
	suites, errs := make([]Suite, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			if suites[i], errs[i] = a.suite(ctx, name); errs[i] != nil {
				errs[i] = fmt.Errorf("read the index of %s: %w", name, errs[i])
			}
		})
	}
	all.Wait()
	read := slices.DeleteFunc(suites, func(s Suite) bool { return s.Name == "" })
	return &Index{read}, errors.Join(errs...)
}

// suite reads one suite, and the list of its packages where it has changed.
func (a *Archive) suite(ctx context.Context, name string) (Suite, error) {
	top := address(name) + "/dists/" + name + "/"
	var inRelease bytes.Buffer
	if err := a.download(ctx, top+"InRelease", &inRelease); err != nil {
		return Suite{}, err
	}
	text, why, err := verified(ctx, inRelease.Bytes(), a.Mirror.Keyrings)
	if err != nil {
		return Suite{}, err
	}
	r, err := parseRelease(text)
	if err != nil {
		return Suite{}, err
	}
	if r.Codename != name {
		return Suite{}, fmt.Errorf("it is the index of %s", r.Codename)
	}
	s := Suite{Name: name, Date: r.Date, Unverified: why}
	s.packages, err = a.packages(ctx, name, top, r)
	if err != nil {
		return Suite{}, err
	}
	return s, nil
}

const listOfPackages = "main/binary-amd64/Packages"

// packages reads the list of a suite's packages from the cache, or from the archive where it is
// another one.
func (a *Archive) packages(ctx context.Context, suite, top string, r release) ([]pkg, error) {
	sum := r.Files[listOfPackages].SHA256 // of the list before compression
	if sum == "" {
		return nil, fmt.Errorf("it has no %s", listOfPackages)
	}
	kept := filepath.Join(a.Cache, "index", fmt.Sprintf("%s-%.16s-%d.json", suite, sum, keptFormat))
	if data, err := os.ReadFile(kept); err == nil {
		var all []pkg
		if json.Unmarshal(data, &all) == nil {
			return all, nil
		}
	}
	all, err := a.fetchPackages(ctx, top, r)
	if err != nil {
		return nil, err
	}
	all = wanted(all)
	data, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	old, err := filepath.Glob(filepath.Join(a.Cache, "index", suite+"-????????????????-*.json"))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	return all, errors.Join(err, a.write(kept, data))
}

// keptFormat changes when other packages or fields are kept of an index.
const keptFormat = 2

// fetchPackages reads the list of all packages in the smallest form that the suite has and this
// machine can read.
func (a *Archive) fetchPackages(ctx context.Context, top string, r release) ([]pkg, error) {
	var missing error
	for _, suffix := range []string{".xz", ".gz", ""} {
		file, found := r.Files[listOfPackages+suffix]
		if !found {
			continue
		}
		if err := compress.Can(suffix); err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		name := top + listOfPackages + suffix
		if r.ByHash {
			name = top + path.Dir(listOfPackages) + "/by-hash/SHA256/" + file.SHA256
		}
		a.log("index %s%s%s", top, listOfPackages, suffix)
		var list bytes.Buffer
		if err := a.checked(ctx, name, file.SHA256, &list); isAbsent(err) { // few servers have the list uncompressed
			if missing == nil {
				missing = err
			}
			continue
		} else if err != nil {
			return nil, err
		}
		return readPackages(ctx, suffix, &list)
	}
	return nil, missing
}

func readPackages(ctx context.Context, suffix string, list io.Reader) ([]pkg, error) {
	plain, err := compress.NewReader(ctx, suffix, list)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return parsePackages(plain, nil)
}

// wanted returns the kernels, QEMU, and what User-mode Linux and QEMU need, of all packages of a
// suite.
func wanted(all []pkg) []pkg {
	names := map[string]bool{}
	for _, p := range slices.Concat(closure(all, []string{umlPackage}, nil), closure(all, []string{qemuPackage}, notForQEMU())) {
		names[p.Name] = true
	}
	return slices.DeleteFunc(all, func(p pkg) bool { return !names[p.Name] && !isKernel(p.Name) && !isKernelPart(p.Name) })
}

// closure returns packages and all that they depend on, the newest of each, sorted by name.
// Packages that the list does not have are passed over, and so are those in except.
func closure(all []pkg, roots, except []string) []pkg {
	byName := map[string]pkg{}
	provided := map[string]string{}
	for _, p := range all {
		if old, found := byName[p.Name]; !found || compareVersions(old.Version, p.Version) < 0 {
			byName[p.Name] = p
		}
		for _, name := range p.Provides {
			provided[name] = p.Name
		}
	}
	found := map[string]pkg{}
	for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		p, exists := byName[name]
		if !exists {
			p, exists = byName[provided[name]]
		}
		if _, known := found[p.Name]; !exists || known || slices.Contains(except, p.Name) {
			continue
		}
		found[p.Name] = p
		queue = append(queue, p.Depends...)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b pkg) int { return strings.Compare(a.Name, b.Name) })
}
