package tcpclient

import (
	"fmt"
	"net"
	"time"
)

// dial connects as a plain client does: no keep-alive probes, so that a silent connection
// is silent on the wire.
func dial(cfg config) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: cfg.timeout, KeepAlive: -1}
	if cfg.from != nil {
		dialer.LocalAddr = cfg.from
	}
	conn, err := dialer.Dial("tcp", cfg.address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.address, plain(err, cfg.timeout))
	}
	return conn.(*net.TCPConn), nil
}

// past is a deadline that ends a pending operation at once.
var past = time.Unix(1, 0)

// deadline returns the moment at which an operation that begins now has taken too long.
func deadline(timeout time.Duration) time.Time {
	if timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}
