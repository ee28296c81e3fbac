// SPDX-License-Identifier: Apache-2.0

// Package testserver is the accept loop of the small servers that tests start.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Run listens at the address and serves each connection in a goroutine, as [Serve] does. It
// returns an exit status.
func Run(address string, serve func(net.Conn)) int {
	return RunWith(net.ListenConfig{}, address, serve)
}

// RunWith is [Run] with options of the listening socket.
func RunWith(listening net.ListenConfig, address string, serve func(net.Conn)) int {
	network := "tcp"
	if strings.HasPrefix(address, "0.0.0.0:") {
		network = "tcp4" // otherwise package net listens on [::]
	}
	listener, err := listening.Listen(context.Background(), network, address)
	if err == nil {
		err = Serve(listener, serve)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// WithOption is a listening socket with this option.
func WithOption(level, name, value int) net.ListenConfig {
	return net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		controlErr := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), level, name, value) })
		return errors.Join(controlErr, err)
	}}
}

// Serve serves each connection of the listener in a goroutine and closes it then, until accept
// fails.
func Serve(listener net.Listener, serve func(net.Conn)) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

// Echo sends back what comes, until the client has left. The bare writer keeps io.Copy from
// splicing, for which Go keeps pipes until its collector closes them.
func Echo(conn net.Conn) { _, _ = io.Copy(struct{ io.Writer }{conn}, conn) }
