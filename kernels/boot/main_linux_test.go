// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"forkrig/kernels/boot"
)

// TestMain makes the test binary the first process of guests, and the program of their jobs.
func TestMain(m *testing.M) {
	boot.FakeMonitor()
	if name := os.Getenv(firstEnv); name != "" && os.Getpid() == 1 {
		firsts[name]()
	}
	boot.Init()
	if name := os.Getenv(jobEnv); name != "" {
		os.Exit(jobs[name]())
	}
	os.Exit(m.Run())
}

const (
	firstEnv = "FORKRIG_TEST_FIRST" // what the first process of a guest does in the place of boot.Init
	jobEnv   = "FORKRIG_TEST_JOB"   // what a job does
)

// firsts are first processes of guests that do not come up.
var firsts = map[string]func(){
	"hangs":  func() { hang() },
	"panics": func() { os.Exit(7) }, // Linux panics when its first process ends
}

// floodLine is what the job flood prints, without end.
const floodLine = "a line of a flood\n"

// jobs are the programs of jobs.
var jobs = map[string]func() int{
	"hello": func() int {
		fmt.Println("hello from", os.Getenv("FROM"))
		return 3
	},
	"looks": func() int {
		dir, _ := os.Getwd()
		fmt.Println("dir", dir)
		var system unix.Utsname
		fmt.Println("release", unix.Uname(&system) == nil, unix.ByteSliceToString(system.Release[:]))
		fmt.Println("write", os.WriteFile("/tmp/file", []byte("x"), 0o600), os.WriteFile("/file-of-a-guest", []byte("x"), 0o600))
		fmt.Println("is there", os.Getenv("FILE"), exists(os.Getenv("FILE")))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			_, err = net.Dial("tcp", l.Addr().String())
		}
		fmt.Println("dial", err)
		fmt.Println("user namespace", unix.Unshare(unix.CLONE_NEWUSER) != unix.EPERM)
		threads, threadsErr := os.ReadFile("/proc/sys/kernel/threads-max")
		n, numberErr := strconv.Atoi(strings.TrimSpace(string(threads)))
		fmt.Println("at most 4096 threads", n > 0 && n <= 4096, errors.Join(threadsErr, numberErr))
		score, err := os.ReadFile("/proc/self/oom_score_adj")
		fmt.Println("score", strings.TrimSpace(string(score)), err)
		return 0
	},
	"floods": func() int {
		os.Stdout.WriteString("begin\n")
		line := []byte(strings.Repeat(floodLine, 1000))
		for range 1000 {
			os.Stdout.Write(line)
		}
		os.Stdout.WriteString("end\n")
		return 0
	},
	"stubborn": func() int {
		signal.Ignore(syscall.SIGQUIT)
		fmt.Println("I stay")
		return hang()
	},
	"leaves a child": func() int {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), jobEnv+"=stubborn")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		fmt.Println(cmd.Start())
		return 0
	},
	"is killed": func() int {
		unix.Kill(unix.Getpid(), unix.SIGKILL)
		return hang()
	},
	"counts": func() int {
		entries, err := os.ReadDir("/proc")
		processes := 0
		for _, e := range entries {
			exe, err := os.Readlink("/proc/" + e.Name() + "/exe") // threads of the kernel have none
			if err == nil && exe != "" && strings.Trim(e.Name(), "0123456789") == "" {
				processes++
			}
		}
		fmt.Println(processes, err)
		return 0
	},
	"eats memory": func() int {
		var kept [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b)
			fmt.Println(len(kept))
		}
	},
	"crashes the kernel": func() int {
		fmt.Println("now")
		fmt.Println(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
		return hang()
	},
	"ends the guest": func() int {
		fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF), unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
		return hang()
	},
}

// hang does nothing, without a goroutine that waits for another: the runtime would end the
// process.
func hang() int {
	for {
		unix.Pause()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
