// SPDX-License-Identifier: Apache-2.0

package population

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CgroupEnv is the environment variable that names a directory of a cgroup2 file system in which
// each population gets a group of its own (cgroups(7)). Only the first process of a guest sets it: a
// machine that is not ours keeps its groups as they are.
const CgroupEnv = "FORKRIG_HOST_CGROUPS"

// mostTasks is how many processes and threads a group may have (pids.max): more processes than a
// host may have before it is ended. Before Linux 6.14, which limits the numbers of a PID namespace,
// nothing else keeps one that forks without end from taking all that a guest has until the guard
// comes. weight is the share of the processors that all of them have together (cpu.weight), where
// one other process has 100: otherwise the guard would get one in a thousand.
const (
	mostTasks = 1100
	weight    = 1000
)

// cgroup is the group of a population; nil where it has none.
type cgroup struct {
	path string
	fd   *os.File // owned
}

func newCgroup() (*cgroup, error) {
	parent := os.Getenv(CgroupEnv)
	if parent == "" {
		return nil, nil
	}
	path, err := os.MkdirTemp(parent, "host-")
	if err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	g := &cgroup{path: path}
	err = errors.Join(os.WriteFile(filepath.Join(path, "pids.max"), []byte(strconv.Itoa(mostTasks)), 0),
		os.WriteFile(filepath.Join(path, "cpu.weight"), []byte(strconv.Itoa(weight)), 0))
	if err == nil {
		g.fd, err = os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("limit a cgroup: %w", err), os.Remove(path))
	}
	return g, nil
}

// enter has the command started in the group. Requires Linux 5.7 (CLONE_INTO_CGROUP).
func (g *cgroup) enter(cmd *exec.Cmd) {
	if g == nil {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(g.fd.Fd())
}

// remove removes the group when its last process has gone, whose number may be free a moment
// before (cgroup_is_populated).
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	g.fd.Close()
	for pause := time.Millisecond; pause < time.Second; pause *= 2 {
		if err := unix.Rmdir(g.path); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(pause)
	}
}
