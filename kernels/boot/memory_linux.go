// SPDX-License-Identifier: Apache-2.0

package boot

import "golang.org/x/sys/unix"

// memoryDir returns where User-mode Linux keeps the guest's memory, in a file without a name: in
// memory where that has room, else in another directory. A container's /dev/shm often has 64
// MiB, and a guest that gets no more of it dies of SIGBUS.
func memoryDir(otherwise string, mib int) string {
	const shared = "/dev/shm"
	var room unix.Statfs_t
	if err := unix.Statfs(shared, &room); err != nil || room.Bavail*uint64(room.Bsize)>>20 < uint64(mib) {
		return otherwise
	}
	return shared
}
