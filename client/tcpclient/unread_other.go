//go:build !linux

package tcpclient

import (
	"errors"
	"net"
)

func awaitUnread(*net.TCPConn) error {
	return errors.New("leave a reply unread: this needs Linux")
}
