// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kernel is a kernel in the cache.
type Kernel struct {
	Name      string // such as "6.12.43" or "uml:7.2.7"
	Image     string // a bzImage, or the program of User-mode Linux
	Modules   string // the directory with its modules, or "" where the archive has none any more
	Config    string // the file with its configuration, or ""
	Libraries Libraries
}

// Libraries are the C library, and others, that a program runs with in place of this
// machine's. The zero value is this machine's.
type Libraries struct {
	Loader string   // the dynamic loader
	Dirs   []string // where the libraries are
}

// QEMU is a QEMU that need not be installed.
type QEMU struct {
	Program   string
	Libraries Libraries
	Data      []string // directories with its firmware
}

// Kernels returns the kernels in the cache, the oldest first, those of User-mode Linux at the
// end.
func (a *Archive) Kernels() ([]Kernel, error) {
	sets, err := a.Fetched()
	var all []Kernel
	for _, s := range sets {
		if s.Name == QEMUName {
			continue
		}
		dir, _ := a.place(s)
		k, openErr := openKernel(s.Name, filepath.Join(dir, rootName))
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		all = append(all, k)
	}
	return all, err
}

// Kernel returns the newest kernel in the cache that a name means, see [Index.Find].
func (a *Archive) Kernel(name string) (Kernel, error) {
	all, err := a.Kernels()
	for _, k := range slices.Backward(all) {
		if Means(name, k.Name) {
			return k, nil
		}
	}
	return Kernel{}, errors.Join(err, fmt.Errorf("kernel %s is not in %s: forkrig kernels fetch %s", name, a.Cache, name))
}

// QEMU returns the QEMU in the cache. The error is [os.ErrNotExist] where there is none.
func (a *Archive) QEMU() (QEMU, error) {
	sets, err := a.Fetched()
	for _, s := range sets {
		if s.Name != QEMUName {
			continue
		}
		dir, _ := a.place(s)
		root := filepath.Join(dir, rootName)
		program := filepath.Join(root, "usr/bin/qemu-system-x86_64")
		libraries := librariesIn(root)
		if libraries.Loader == "" || !isThere(program) {
			return QEMU{}, fmt.Errorf("%s has no QEMU or no C library: remove it, and fetch QEMU again", root)
		}
		return QEMU{program, libraries, globs(root, "usr/share/qemu", "usr/share/seabios")}, nil
	}
	return QEMU{}, errors.Join(err, fmt.Errorf("QEMU is not in %s: forkrig kernels fetch %s: %w", a.Cache, QEMUName, os.ErrNotExist))
}

// openKernel finds the files of a kernel among those of its packages.
func openKernel(name, root string) (Kernel, error) {
	k := Kernel{Name: name}
	images := globs(root, "boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz")
	modules := globs(root, "lib/modules/*/kernel", "usr/lib/modules/*/kernel")
	if strings.HasPrefix(name, UserModePrefix) {
		images = globs(root, "usr/bin/linux.uml")
		modules = globs(root, "usr/lib/uml/modules/*/kernel")
		k.Libraries = librariesIn(root)
	}
	if len(images) == 0 {
		return k, fmt.Errorf("%s has no kernel: remove it, and fetch %s again", root, name)
	}
	k.Image = images[0]
	if len(modules) > 0 {
		k.Modules = filepath.Dir(modules[0])
	}
	if configs := globs(root, "boot/config-*", "usr/lib/modules/*/config"); len(configs) > 0 {
		k.Config = configs[0]
	}
	return k, nil
}

// librariesIn finds the C library among the files of packages.
func librariesIn(root string) Libraries {
	dirs := globs(root, "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
	for _, dir := range dirs {
		if loader := filepath.Join(dir, "ld-linux-x86-64.so.2"); isThere(loader) {
			return Libraries{loader, dirs}
		}
	}
	return Libraries{}
}

// globs returns what is there of the patterns below a directory, in their order.
func globs(root string, patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err == nil { // only a wrong pattern is an error
			all = append(all, found...)
		}
	}
	return all
}
