// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Kernel is a kernel to boot.
type Kernel struct {
	// Name is what errors call it.
	Name string
	// Image is a bzImage, or the program of User-mode Linux.
	Image string
	// Modules is the directory with its modules and their lists, or "" for none.
	Modules string
	// Libraries are the C library of User-mode Linux, where it is not this machine's.
	Libraries Libraries
}

// Libraries are libraries that a program runs with. The zero value is this machine's.
type Libraries struct {
	Loader string   // the dynamic loader
	Dirs   []string // where the libraries are
}

// Job is a program that a guest runs.
type Job struct {
	Name string
	// Argv is the program and its arguments. [Self] is the binary that is the guest's first
	// process.
	Argv []string
	// Env is added to PATH, HOME and TERM.
	Env []string
	// Dir is where the program starts. "" is /tmp.
	Dir string
	// Limit is how long it may run. 0 is [DefaultLimit].
	Limit time.Duration
}

// Self is the path of the binary that is the guest's first process.
const Self = "/proc/self/exe"

// DefaultLimit is the time limit of a job that names none.
const DefaultLimit = 5 * time.Minute

// Guest is what a kernel is booted with. Only Jobs is needed.
type Guest struct {
	// Init is the guest's first process, whose main function calls [Init]. "" is this program.
	Init string
	// Modules are loaded with those that they depend on. nil is [NetworkModules]. Those that
	// are not there are told in [Report.Absent].
	Modules []string
	// Files are files, programs and directories of this machine that the jobs need, at the
	// same paths. With a program come its libraries, with a script its interpreter.
	Files []string
	Jobs  []Job
	// MemoryMiB is the guest's memory. 0 is 1024.
	MemoryMiB int
	// Processors is how many the guest has. 0 is 2. User-mode Linux always has one.
	Processors int
	// Parameters are added to the kernel's command line.
	Parameters []string
	// BootLimit is how long the guest may take until it runs the first job. 0 is 3 minutes.
	BootLimit time.Duration
	// OutputLimit is how many bytes of the output of a job are taken while it runs. 0 is
	// 4 MiB. Of what comes later the last 64 KiB are taken when the job is done.
	OutputLimit int64
}

const (
	defaultMemoryMiB   = 1024
	defaultProcessors  = 2
	defaultBootLimit   = 3 * time.Minute
	defaultOutputLimit = 4 << 20
)

// withDefaults fills in what is zero and says what is wrong.
func (g Guest) withDefaults() (Guest, error) {
	var err error
	if g.Init == "" {
		g.Init, err = os.Executable()
	}
	if g.Modules == nil {
		g.Modules = NetworkModules()
	}
	g.MemoryMiB = orDefault(g.MemoryMiB, defaultMemoryMiB)
	g.Processors = orDefault(g.Processors, defaultProcessors)
	g.BootLimit = orDefault(g.BootLimit, defaultBootLimit)
	g.OutputLimit = orDefault(g.OutputLimit, defaultOutputLimit)
	if len(g.Jobs) == 0 {
		err = errors.Join(err, errors.New("a guest without jobs"))
	}
	jobs := make([]Job, len(g.Jobs))
	for i, j := range g.Jobs {
		if j.Name == "" || len(j.Argv) == 0 {
			err = errors.Join(err, fmt.Errorf("job %d has no name or no program", i))
		}
		j.Limit = orDefault(j.Limit, DefaultLimit)
		jobs[i] = j
	}
	g.Jobs = jobs
	return g, err
}

func orDefault[T int | int64 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Result is what came of a job.
type Result struct {
	Name string
	// Status is the exit status, or 128 and the number of the signal that ended it, as in a
	// shell.
	Status int
	// Err says why it was not run, or that it was ended at its time limit; otherwise "".
	Err string
	// Wall is how long it ran, by the guest's clock.
	Wall time.Duration
	// Output is what it printed, see [Guest.OutputLimit].
	Output []byte
	// Dropped is how many bytes of the output were not taken. They are missing before the
	// last 64 KiB.
	Dropped int64
}

// Report is what is known of a guest.
type Report struct {
	// Release is what the guest's kernel calls itself, "" where it did not come up.
	Release string
	// Absent are the modules that the kernel has neither as files nor in its list of those that
	// are built in.
	Absent []string
	// Complaints are what went wrong while the guest got ready, such as a module that could not
	// be loaded.
	Complaints []string
	// Boot is the time until the first job, Wall that until the end.
	Boot, Wall time.Duration
	// Results are those of the jobs that are done.
	Results []Result
	// Console is the last lines of the guest's console.
	Console []string
}

// Watch is told what happens while it happens, on one goroutine. What is nil is not called.
type Watch struct {
	Ready  func(release string)
	Start  func(job string)
	Output func(job string, text []byte)
	Done   func(Result)
}

// DiedError says that a guest has ended before all its jobs were done.
type DiedError struct {
	Kernel  string
	Job     string   // the job that ran, "" while the guest booted or between jobs
	Why     string   // what was seen
	Console []string // the last lines of its console
}

func (e *DiedError) Error() string {
	text := "kernel " + e.Kernel + " "
	if e.Job != "" {
		text += "died in job " + e.Job
	} else {
		text += "died"
	}
	text += ": " + e.Why + ": nothing more is known of it"
	for _, line := range e.Console {
		text += "\n\t" + line
	}
	return text
}
