// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Init is called first by a main function whose binary is to be the first process of guests. In
// a guest it runs the jobs and ends the guest; anywhere else it returns at once.
func Init() {
	if os.Getpid() != 1 || len(os.Args) < 3 || os.Args[1] != initRole {
		return
	}
	p, err := inGuest(os.Args[2])
	code := 0
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: the guest's first process: %v\n", err)
		code = 1
	}
	powerOff(p, code)
}

func inGuest(path string) (plan, error) {
	var p plan
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	complaints := prepare(p)
	line, err := openLine(p.Line)
	if err != nil {
		return p, errors.Join(complaints, err)
	}
	g := newGuest(p, line)
	r := ready{Release: release()}
	if complaints != nil {
		r.Complaints = strings.Split(complaints.Error(), "\n")
	}
	g.sendJSON(frameReady, r)
	for i := range p.Jobs {
		g.do(i)
	}
	g.send(frame{Kind: frameEnd})
	return p, errors.Join(g.err, drain(line))
}

func release() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease") // without /proc the complaints say it
	return string(bytes.TrimSpace(text))
}

// openLine opens a terminal device so that bytes pass it unchanged (termios(3)).
func openLine(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open the line for records: %w", err)
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err == nil {
		t.Iflag, t.Oflag = 0, 0
		t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^unix.CSIZE | unix.CS8 | unix.CLOCAL
		err = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
	return f, os.NewSyscallError("ioctl "+path, err)
}

// drain waits until all bytes have left the device (tcdrain(3)).
func drain(f *os.File) error {
	return os.NewSyscallError("ioctl TCSBRK", unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1))
}

// powerOff ends the guest. The monitor of User-mode Linux takes its exit status from
// /proc/exitcode; QEMU ends where a guest restarts, which needs no ACPI.
func powerOff(p plan, code int) {
	os.WriteFile("/proc/exitcode", fmt.Appendf(nil, "%d\n", code), 0) // there is none in QEMU
	unix.Sync()
	how := unix.LINUX_REBOOT_CMD_RESTART
	if p.PowerOff {
		how = unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	err := unix.Reboot(how)
	fmt.Fprintf(os.Stderr, "forkrig: end the guest: %v\n", err)
	os.Exit(code) // the kernel panics: its first process has ended
}
