// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	lockName = "lock" // the file of a fetched set that says what it is
	rootName = "root" // the directory of a fetched set with the files of its packages
)

// atOnce is how many packages are downloaded side by side.
const atOnce = 4

// Fetch downloads and unpacks a set into the cache, where it is not there already. An older
// build of the same name is removed.
func (a *Archive) Fetch(ctx context.Context, s Set) error {
	if !isName(s.Name) || len(s.Packages) == 0 {
		return fmt.Errorf("fetch %q: it is not a set of packages", s.Name)
	}
	place, lock := a.place(s)
	if _, err := os.Stat(place); err == nil {
		return nil
	}
	dir, err := a.temporary()
	if err != nil {
		return fmt.Errorf("fetch %s: %w", s.Name, err)
	}
	defer os.RemoveAll(dir) // where it was not renamed
	err = os.Mkdir(filepath.Join(dir, rootName), 0o755)
	if err == nil {
		err = a.fetchAll(ctx, dir, s.Packages)
	}
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(dir, lockName), lock, 0o644), os.Chmod(dir, 0o755))
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", s.Name, err)
	}
	if err := os.Rename(dir, place); err != nil && !isThere(place) { // another process was faster
		return fmt.Errorf("fetch %s: %w", s.Name, err)
	}
	return a.removeOthers(s.Name, place)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// place returns the directory of a set in the cache, and its lock file's text. The same packages
// are always in the same place.
func (a *Archive) place(s Set) (dir string, lock []byte) {
	var text bytes.Buffer
	WriteLock(&text, []Set{s}) // a buffer takes everything
	return filepath.Join(a.Cache, fmt.Sprintf("%s-%.4x", strings.ReplaceAll(s.Name, ":", "-"), sha256.Sum256(text.Bytes()))), text.Bytes()
}

// fetchAll downloads and unpacks packages side by side, and ends with the first error.
func (a *Archive) fetchAll(ctx context.Context, dir string, packages []Package) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, p := range packages {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := a.fetchOne(ctx, filepath.Join(dir, fmt.Sprintf("%d.deb", i)), filepath.Join(dir, rootName), p); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (a *Archive) fetchOne(ctx context.Context, deb, root string, p Package) error {
	a.log("package %s %s", p.Name, p.Version)
	f, err := os.Create(deb)
	if err != nil {
		return err
	}
	err = a.checked(ctx, p.URL, p.SHA256, f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = unpack(ctx, deb, root, isWanted)
	}
	if isAbsent(err) {
		err = fmt.Errorf("%w: the archive has removed this build; a new index (or lock file) names a newer one", err)
	}
	return errors.Join(err, os.Remove(deb))
}

// isWanted says whether a file of a package is of use: documents are not.
func isWanted(path string) bool {
	for _, of := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/gconv", "usr/lib/x86_64-linux-gnu/gconv"} {
		if path == of || strings.HasPrefix(path, of+"/") {
			return false
		}
	}
	return !strings.HasPrefix(filepath.Base(path), "System.map")
}

// removeOthers removes older builds of a set.
func (a *Archive) removeOthers(name, place string) error {
	all, err := a.Fetched()
	for _, other := range all {
		if dir, _ := a.place(other); other.Name == name && dir != place {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// Fetched returns the sets that are in the cache, the oldest kernel first. They can be written
// as a lock file.
func (a *Archive) Fetched() ([]Set, error) {
	locks, err := filepath.Glob(filepath.Join(a.Cache, "*", lockName))
	if err != nil {
		return nil, err
	}
	var all []Set
	for _, path := range locks {
		if strings.HasPrefix(filepath.Base(filepath.Dir(path)), temporaryPrefix) {
			continue
		}
		text, readErr := os.ReadFile(path)
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		sets, readErr := ReadLock(bytes.NewReader(text))
		if readErr != nil {
			readErr = fmt.Errorf("%s: %w", path, readErr)
		}
		all, err = append(all, sets...), errors.Join(err, readErr)
	}
	slices.SortFunc(all, func(a, b Set) int { return compareNames(a.Name, b.Name) })
	return all, err
}
