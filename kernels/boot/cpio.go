// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// cpioWriter writes the archive that a kernel unpacks as its first root: the "newc" format of
// cpio (Documentation/driver-api/early-userspace/buffer-format.rst).
type cpioWriter struct {
	w      io.Writer
	number int             // of the last file
	dirs   map[string]bool // those that are written
	err    error
}

func newCPIO(w io.Writer) *cpioWriter { return &cpioWriter{w: w, dirs: map[string]bool{".": true}} }

// The type of a file in its mode (inode(7)).
const (
	modeDir     = 0o040000
	modeDevice  = 0o020000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

// dir writes a directory and those above it, each once.
func (c *cpioWriter) dir(name string, mode fs.FileMode) {
	name = clean(name)
	if c.dirs[name] {
		return
	}
	c.dir(path.Dir(name), 0o755)
	c.dirs[name] = true
	c.entry(name, modeDir|unixMode(mode), 0, 0, 0, nil)
}

// file writes a regular file, with the directories above it.
func (c *cpioWriter) file(name string, mode fs.FileMode, size int64, data io.Reader) {
	c.dir(path.Dir(clean(name)), 0o755)
	c.entry(clean(name), modeRegular|unixMode(mode), 0, 0, size, data)
}

// text writes a file that is at hand.
func (c *cpioWriter) text(name, data string) {
	c.file(name, 0o644, int64(len(data)), strings.NewReader(data))
}

// link writes a symbolic link.
func (c *cpioWriter) link(name, target string) {
	c.dir(path.Dir(clean(name)), 0o755)
	c.entry(clean(name), modeLink|0o777, 0, 0, int64(len(target)), strings.NewReader(target))
}

// device writes a character device.
func (c *cpioWriter) device(name string, major, minor int) {
	c.dir(path.Dir(clean(name)), 0o755)
	c.entry(clean(name), modeDevice|0o600, major, minor, 0, nil)
}

// close writes the end and returns the first error.
func (c *cpioWriter) close() error {
	c.number = -1
	c.entry("TRAILER!!!", 0, 0, 0, 0, nil)
	return c.err
}

// clean returns a path without a slash at its begin; "." is the root.
func clean(name string) string {
	if name = path.Clean("/" + name)[1:]; name != "" {
		return name
	}
	return "."
}

func unixMode(mode fs.FileMode) int {
	bits := int(mode.Perm())
	for bit, set := range map[fs.FileMode]int{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			bits |= set
		}
	}
	return bits
}

// maxCPIO is the largest size of one file in the format.
const maxCPIO = 1<<32 - 1

func (c *cpioWriter) entry(name string, mode, major, minor int, size int64, data io.Reader) {
	c.number++
	if size > maxCPIO {
		c.fail(fmt.Errorf("%s has %d bytes", name, size))
	}
	const noTime, oneLink, root = 0, 1, 0
	header := "070701"
	for _, field := range []int64{int64(c.number), int64(mode), root, root, oneLink, noTime, size, 0, 0, int64(major), int64(minor), int64(len(name) + 1), 0} {
		header += fmt.Sprintf("%08X", field)
	}
	c.padded(strings.NewReader(header+name+"\x00"), int64(len(header)+len(name)+1))
	if data != nil {
		c.padded(data, size)
	}
}

// padded writes exactly size bytes and fills them up to a multiple of four.
func (c *cpioWriter) padded(data io.Reader, size int64) {
	if c.err != nil {
		return
	}
	if n, err := io.CopyN(c.w, data, size); err != nil {
		c.fail(fmt.Errorf("%d of %d bytes: %w", n, size, err))
		return
	}
	_, err := io.WriteString(c.w, "\x00\x00\x00"[:(4-size%4)%4])
	c.fail(err)
}

func (c *cpioWriter) fail(err error) {
	if c.err == nil && err != nil {
		c.err = errors.Join(errors.New("write the guest's first file system"), err)
	}
}
