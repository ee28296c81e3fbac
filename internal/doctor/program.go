// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// ProgramName is the name by which the programs of rig.Dispatch must have [Program].
const ProgramName = "doctor"

// readyLine is what the program prints when it is about to wait.
const readyLine = "ready"

// Program is what [Inside] runs on hosts: a helper program of package rig. Its first
// argument says what it does.
func Program(args []string) int {
	if err := run(args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig doctor: %v\n", err)
		return 1
	}
	return 0
}

func run(args []string) error {
	switch what := strings.Join(args[:min(len(args), 1)], ""); {
	case what == "uid":
		fmt.Println(os.Getuid())
		return nil
	case what == "pid-max":
		limit, err := readProcessLimit()
		fmt.Println(limit)
		return err
	case what == "wait": // until the end of its input
		fmt.Println(readyLine)
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case what == "chdir": // at the end of its input
		fmt.Println(readyLine)
		_, err := io.Copy(io.Discard, os.Stdin)
		fmt.Println(syscall.Chdir("/"))
		return err
	case what == "listen" && len(args) == 2: // until the end of its input
		var config net.ListenConfig
		config.SetMultipathTCP(false) // its sockets do not have every option of TCP
		listener, err := config.Listen(context.Background(), "tcp", args[1])
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		return listener.Close()
	}
	return fmt.Errorf("arguments %q: this program is for doctor.Inside alone", args)
}

// readProcessLimit returns kernel.pid_max of the PID namespace of /proc.
func readProcessLimit() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/pid_max")
	return strings.TrimSpace(string(text)), err
}
