// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setSegmentation switches the device's TCP segmentation offload. Requires
// CAP_NET_ADMIN (SIOCETHTOOL in netdevice(7), ETHTOOL_STSO in linux/ethtool.h).
func (d *device) setSegmentation(on bool) error {
	return d.host.ns.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		value := struct{ command, data uint32 }{command: unix.ETHTOOL_STSO}
		if on {
			value.data = 1
		}
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte // struct ifreq is longer
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], d.name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		runtime.KeepAlive(&value)
		if errno != 0 {
			return os.NewSyscallError("ioctl SIOCETHTOOL", errno)
		}
		return nil
	})
}
