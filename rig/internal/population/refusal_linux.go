// SPDX-License-Identifier: Apache-2.0

package population

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrCannotRefuse is wrapped by [Population.RefuseForks] where the kernel cannot do it.
var ErrCannotRefuse = errors.New("the kernel has no limit on the numbers of one PID namespace that is low enough")

// RefuseForks has the kernel refuse every fork and clone of the population's processes,
// and every start of another one in it, with EAGAIN, because it has no number left: see
// [refusal]. It returns when a fork was refused. allow ends that; its error says that a fork
// was possible just before, because a process that had one of the last numbers has ended.
// Where the population has ended, there is nothing to allow.
//
// Requires Linux 6.14, CONFIG_CHECKPOINT_RESTORE and at most 128 processors.
func (p *Population) RefuseForks() (allow func() error, err error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if p.refuses {
		return nil, errors.New("the kernel refuses every fork of this host already: heal that first")
	}
	if !LimitsNumbers() {
		return nil, fmt.Errorf("%w: Linux 6.14 has it", ErrCannotRefuse)
	}
	errno, err := p.ask(orderRefuse)
	switch {
	case err != nil:
		return nil, err
	case errno == errStillForks:
		return nil, errors.New("the kernel still forks")
	case errno != 0:
		return nil, fmt.Errorf("%w: %w", ErrCannotRefuse, errno)
	}
	p.refuses = true
	return func() error {
		p.asking.Lock()
		defer p.asking.Unlock()
		p.refuses = false
		switch errno, err := p.ask(orderAllow); {
		case errors.Is(err, ErrEnded):
			return nil
		case errno == errStillForks:
			return errors.New("not every fork was refused: a process that had one of the last numbers has ended meanwhile")
		case errno != 0:
			return errno
		}
		return nil
	}, nil
}

// The orders that init obeys.
const (
	orderRefuse = 'r'
	orderAllow  = 'a'
	orderEnd    = 'e' // it has no answer
)

// errStillForks is what init answers where a fork was possible that should not have been.
const errStillForks = unix.EEXIST

// ask gives init an order and returns its answer. The caller holds p.asking.
func (p *Population) ask(order byte) (syscall.Errno, error) {
	if _, err := p.orders.Write([]byte{order}); err != nil {
		return 0, ErrEnded
	}
	return p.hear()
}

// obey is what init does until it is to end, or the rig has gone: it waits for orders, and obeys
// them.
func obey() {
	var order [1]byte
	for {
		n, err := unix.Read(0, order[:])
		if err == unix.EINTR {
			continue
		}
		if n != 1 || order[0] == orderEnd {
			return
		}
		r, errno := newRefusal()
		if errno == 0 {
			errno = r.begin()
		}
		answer(errno)
		if errno != 0 {
			continue
		}
		for {
			n, _, errno := syscall.RawSyscall(syscall.SYS_READ, 0, uintptr(unsafe.Pointer(&order)), 1)
			if errno == 0 && n == 1 {
				break
			}
			if errno != syscall.EINTR {
				return
			}
		}
		if order[0] == orderEnd {
			return
		}
		answer(r.end())
		r.close()
	}
}

// answer tells the rig what came of an order.
func answer(errno syscall.Errno) {
	text := [1]byte{byte(errno)}
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, 1, uintptr(unsafe.Pointer(&text)), 1) // the rig may have gone
}

// The kernel gives a new process or thread the number after the last one, below pid_max.
// After that it begins at 300 again (RESERVED_PIDS, alloc_pid in kernel/pid.c) and
// never goes below while its last number was higher. pid_max can be as low as 301, or 8
// for each processor that the machine may have, if that is more (pid_max_min there).
const (
	reservedNumbers = 300
	highestLimit    = 1024 // 128 processors; many more zombies are a crowd
)

// refusal is how init has the kernel refuse every fork: it sets the last number above 300
// and pid_max as low as it can be, and takes the numbers from 300 up to there by children
// that end at once and that it does not wait for. Two writes and one child are the rule.
//
// All that it does while the limit holds are raw system calls, in which the Go runtime
// does not give the thread's processor to another thread, which would have to be made.
type refusal struct {
	limit    int // descriptor of pid_max
	children int
	numbers  [8]byte // what is written
}

// newRefusal sets the last number.
func newRefusal() (*refusal, syscall.Errno) {
	last, err := unix.Open(nsLastPID, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err.(syscall.Errno)
	}
	defer unix.Close(last)
	if _, err := unix.Write(last, strconv.AppendInt(nil, reservedNumbers+1, 10)); err != nil {
		return nil, err.(syscall.Errno)
	}
	limit, err := unix.Open(pidMax, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err.(syscall.Errno)
	}
	return &refusal{limit: limit}, 0
}

func (r *refusal) close() { unix.Close(r.limit) }

// setLimit writes pid_max.
func (r *refusal) setLimit(n int) syscall.Errno {
	text := strconv.AppendInt(r.numbers[:0], int64(n), 10)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, uintptr(r.limit), uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), 0, 0, 0)
	return errno
}

// begin returns when a fork was refused. Its error leaves forks allowed.
func (r *refusal) begin() (errno syscall.Errno) {
	limit := reservedNumbers + 1
	for errno = r.setLimit(limit); errno == syscall.EINVAL && limit < highestLimit; errno = r.setLimit(limit) {
		limit++
	}
	if errno == 0 {
		for errno = forkZombie(); errno == 0 && r.children <= limit-reservedNumbers; errno = forkZombie() {
			r.children++
		}
	}
	switch errno {
	case syscall.EAGAIN:
		return 0
	case 0:
		r.children++
		errno = errStillForks
	}
	r.end()
	r.close()
	return errno
}

// end allows forks. Its error errStillForks says that one was possible just before.
func (r *refusal) end() (errno syscall.Errno) {
	if forkZombie() == 0 {
		r.children++
		errno = errStillForks
	}
	if failed := r.setLimit(MaxNumber); failed != 0 {
		errno = failed
	}
	for ; r.children > 0; r.children-- {
		for {
			_, _, failed := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), 0, unix.WCLONE, 0, 0, 0)
			if failed != syscall.EINTR {
				break
			}
		}
	}
	return errno
}

// forkZombie starts a child that ends at once. It sends no signal when it ends, because the
// kernel reaps those that send SIGCHLD: init ignores that one. The child shares nothing
// with the runtime's other threads and makes one system call.
//
//go:norace
//go:noinline
func forkZombie() syscall.Errno {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, 0, 0, 0, 0, 0, 0)
	for pid == 0 && errno == 0 {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return errno
}
