// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"os"

	"golang.org/x/sys/unix"
)

// sayUrgently sends one byte of urgent data.
func (k *client) sayUrgently(b byte) error {
	raw, err := k.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), []byte{b}, unix.MSG_OOB|unix.MSG_NOSIGNAL, nil)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	if err != nil {
		return plain(err)
	}
	if sendErr != nil {
		return os.NewSyscallError("sendto", sendErr)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Sent++
	return nil
}
