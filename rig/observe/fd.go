// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"strconv"
	"strings"
)

// FD is an open descriptor of a process.
type FD struct {
	Number int
	Kind   FDKind
	Target string // what /proc/PID/fd/N links to
	Inode  uint64 // of a socket or pipe, otherwise 0
}

// FDKind says what an open descriptor is.
type FDKind string

// The kinds of descriptors.
const (
	FDSocket FDKind = "socket"
	FDPipe   FDKind = "pipe"
	FDAnon   FDKind = "anon" // epoll, eventfd, signalfd, pidfd, …: see Target
	FDFile   FDKind = "file"
	FDOther  FDKind = "other"
)

// fdOf classifies the target of a link in /proc/PID/fd (proc_pid_fd(5)).
func fdOf(number int, target string) FD {
	fd := FD{Number: number, Kind: FDOther, Target: target}
	kind, rest, found := strings.Cut(target, ":")
	switch {
	case strings.HasPrefix(target, "/"):
		fd.Kind = FDFile
	case found && kind == "anon_inode":
		fd.Kind = FDAnon
	case found && (kind == "socket" || kind == "pipe"):
		if inode, ok := bracketed(rest); ok {
			fd.Kind, fd.Inode = FDKind(kind), inode
		}
	}
	return fd
}

// bracketed reads the inode in a link such as socket:[12345].
func bracketed(text string) (inode uint64, ok bool) {
	inner, opened := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	inode, err := strconv.ParseUint(inner, 10, 64)
	return inode, opened && closed && err == nil
}

// FDs is a list of descriptors with ways to select from it.
type FDs []FD

// Of returns the descriptors of one kind.
func (l FDs) Of(kind FDKind) FDs {
	return selected(l, func(fd FD) bool { return fd.Kind == kind })
}

// Socket says whether one of the descriptors is the socket with that inode.
func (l FDs) Socket(inode uint32) bool {
	for _, fd := range l {
		if fd.Kind == FDSocket && fd.Inode == uint64(inode) {
			return true
		}
	}
	return false
}

func (l FDs) String() string {
	parts := make([]string, len(l))
	for i, fd := range l {
		parts[i] = fmt.Sprintf("%d→%s", fd.Number, fd.Target)
	}
	return strings.Join(parts, " ")
}
