// SPDX-License-Identifier: Apache-2.0

// Package tmpfs mounts small file systems in memory (tmpfs(5)) and fills them.
package tmpfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Mount mounts a file system of so many bytes that every user may write to. Requires
// CAP_SYS_ADMIN.
func Mount(path string, bytes int64) error {
	err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=1777,size=%d", bytes))
	return os.NewSyscallError("mount", err)
}

// Unmount takes the file system away from the directory; processes that use it keep
// it until they end.
func Unmount(path string) error {
	return os.NewSyscallError("umount", unix.Unmount(path, unix.MNT_DETACH))
}

// Fill makes a file that takes every page that is left, and returns its size.
func Fill(path string) (int64, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	page := make([]byte, os.Getpagesize())
	var size int64
	for {
		n, err := file.Write(page) // all of a page or nothing
		size += int64(n)
		if err == nil {
			continue
		}
		if !errors.Is(err, unix.ENOSPC) {
			return size, errors.Join(err, file.Close(), os.Remove(path))
		}
		return size, file.Close()
	}
}
