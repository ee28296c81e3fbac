// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/archive"
	"forkrig/kernels/boot"
	"forkrig/rig"
)

// machine is a kernel in the cache, and what boots it.
type machine struct {
	boot.Kernel
	driver boot.Driver
}

// testKernelEnv names one kernel to boot, in the place of the newest of each kind.
const testKernelEnv = "FORKRIG_TEST_KERNEL"

// eachMachine calls f with the newest kernel in the cache for QEMU and with that of User-mode
// Linux, one after the other. Without any, the test is skipped by the feature "kernels".
func eachMachine(t *testing.T, f func(t *testing.T, m machine)) {
	t.Helper()
	if _, err := archive.DefaultCache(); err != nil { // an ordinary user of CI has no home
		rig.SkipIfMissing(t, &rig.MissingError{Feature: "kernels", Err: err, Remedy: "set XDG_CACHE_HOME, and run forkrig kernels fetch"})
	}
	a, err := archive.System(t.Context())
	require.NoError(t, err)
	all, err := a.Kernels()
	require.NoError(t, err)
	booted := false
	for _, userMode := range []bool{false, true} {
		for _, k := range slices.Backward(all) {
			name := os.Getenv(testKernelEnv)
			if userMode != strings.HasPrefix(k.Name, archive.UserModePrefix) || name != "" && name != k.Name {
				continue
			}
			m := machine{boot.Kernel{Name: k.Name, Image: k.Image, Modules: k.Modules, Libraries: boot.Libraries(k.Libraries)}, boot.UserMode{}}
			if !userMode {
				q, err := a.QEMU()
				if errors.Is(err, os.ErrNotExist) {
					break
				}
				require.NoError(t, err)
				m.driver = boot.QEMU{Program: q.Program, Libraries: boot.Libraries(q.Libraries), Data: q.Data}
			}
			booted = true
			t.Run(k.Name, func(t *testing.T) { f(t, m) })
			break
		}
	}
	if !booted {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: "kernels", Err: errors.New("none fetched"), Remedy: "run forkrig kernels fetch"})
	}
}

func job(name string, env ...string) boot.Job {
	return boot.Job{Name: name, Argv: []string{boot.Self}, Env: append(env, jobEnv+"="+name)}
}

// run boots a machine and logs its console where the test fails.
func (m machine) run(t *testing.T, ctx context.Context, g boot.Guest, w boot.Watch) (boot.Report, error) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r, err := boot.Run(ctx, m.driver, m.Kernel, g, w)
	t.Logf("%s: up after %v, all %v; %v", m.Name, r.Boot.Round(time.Millisecond), r.Wall.Round(time.Millisecond), err)
	if t.Failed() {
		t.Log(strings.Join(r.Console, "\n"))
	}
	left, globErr := filepath.Glob(filepath.Join(tmp, "*"))
	require.NoError(t, globErr)
	assert.Empty(t, left, "files that a guest has left")
	return r, err
}

// TestJobs runs good and bad jobs one after the other.
func TestJobs(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		file := filepath.Join(t.TempDir(), "file of this machine")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		limited := job("stubborn")
		limited.Limit = time.Second
		elsewhere := job("looks", "FILE="+file)
		elsewhere.Dir = "/proc"
		g := boot.Guest{
			OutputLimit: 100_000, MemoryMiB: 256, Files: []string{file},
			Jobs: []boot.Job{
				job("hello", "FROM=the guest"), elsewhere, job("floods"), limited, job("leaves a child"), job("counts"), job("is killed"),
				{Name: "absent", Argv: []string{"no-such-program"}}, job("eats memory"), job("hello"),
			},
		}
		var starts []string
		r, err := m.run(t, t.Context(), g, boot.Watch{Start: func(name string) { starts = append(starts, name) }})
		require.NoError(t, err)
		assert.Empty(t, r.Complaints)
		assert.Equal(t, "veth is loaded", map[bool]string{true: "veth is loaded"}[!slices.Contains(r.Absent, "veth")])
		require.Len(t, r.Results, len(g.Jobs))
		for i, result := range r.Results {
			assert.Equal(t, g.Jobs[i].Name, result.Name)
			t.Logf("%-16s status %d, %v, %d bytes", result.Name, result.Status, result.Wall.Round(time.Millisecond), len(result.Output))
		}
		result := func(i int) (int, string, string) {
			return r.Results[i].Status, string(r.Results[i].Output), r.Results[i].Err
		}
		same := func(i, status int, output, err string) {
			t.Helper()
			s, o, e := result(i)
			assert.Equal(t, []any{status, output, err}, []any{s, o, e}, r.Results[i].Name)
		}
		same(0, 3, "hello from the guest\n", "")
		same(1, 0, "dir /proc\nrelease true "+r.Release+"\nwrite <nil> <nil>\nis there "+file+" true\ndial <nil>\nuser namespace true\nat most 4096 threads true <nil>\nscore 0 <nil>\n", "")
		assert.NoFileExists(t, "/file-of-a-guest")

		flood := r.Results[2]
		assert.Len(t, flood.Output, 100_000+64<<10)
		assert.EqualValues(t, len("begin\n")+1_000_000*len(floodLine)+len("end\n"), int64(len(flood.Output))+flood.Dropped)
		assert.True(t, strings.HasPrefix(string(flood.Output), "begin\n"+floodLine))
		assert.True(t, strings.HasSuffix(string(flood.Output), floodLine+"end\n"))

		same(3, 128+9, "I stay\n", "it was ended at its time limit of 1s")
		status, output, _ := result(4)
		assert.Equal(t, 0, status)
		assert.Contains(t, output, "<nil>\n")
		same(5, 0, "2 <nil>\n", "") // the first process and the job
		same(6, 128+9, "", "")
		same(7, 126, "", `exec: "no-such-program": executable file not found in $PATH`)
		assert.Equal(t, 128+9, r.Results[8].Status, "ended by the kernel where memory runs out")
		same(9, 3, "hello from \n", "")
		assert.Len(t, starts, len(g.Jobs))
	})
}

// TestKernelPanics in mid-job: what was done before is known, and the console says why.
func TestKernelPanics(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		g := boot.Guest{Modules: []string{"overlay"}, Jobs: []boot.Job{job("hello", "FROM=the guest"), job("crashes the kernel"), job("hello")}}
		r, err := m.run(t, t.Context(), g, boot.Watch{})
		var died *boot.DiedError
		require.ErrorAs(t, err, &died)
		assert.Equal(t, "crashes the kernel", died.Job)
		assert.Contains(t, died.Why, "Kernel panic - not syncing: sysrq triggered crash")
		assert.LessOrEqual(t, len(died.Console), 20)
		require.Len(t, r.Results, 1)
		assert.Equal(t, "hello from the guest\n", string(r.Results[0].Output))
	})
}

// TestGuestEndsInMidJob has a job that ends the guest, without a word of the kernel.
func TestGuestEndsInMidJob(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		r, err := m.run(t, t.Context(), boot.Guest{Modules: []string{"overlay"}, Jobs: []boot.Job{job("hello"), job("ends the guest")}}, boot.Watch{})
		var died *boot.DiedError
		require.ErrorAs(t, err, &died)
		assert.Equal(t, "ends the guest", died.Job)
		assert.Contains(t, died.Why, "it ended: ")
		assert.Len(t, r.Results, 1)
	})
}

// TestFirstProcessFails has first processes that end, and that do nothing.
func TestFirstProcessFails(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		for name, says := range map[string]string{"panics": "it ended: ", "hangs": "it was not up after 10s"} {
			g := boot.Guest{Modules: []string{}, Jobs: []boot.Job{job("hello")}, Parameters: []string{firstEnv + "=" + name}}
			if name == "hangs" {
				g.BootLimit = 10 * time.Second
			}
			r, err := m.run(t, t.Context(), g, boot.Watch{})
			var died *boot.DiedError
			require.ErrorAs(t, err, &died)
			assert.Empty(t, died.Job)
			assert.Contains(t, died.Why, says)
			assert.NotEmpty(t, died.Console)
			assert.Empty(t, r.Results)
			if name == "panics" {
				assert.Contains(t, died.Why, "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000700")
			}
		}
	})
}

// TestCancelInMidJob leaves nothing.
func TestCancelInMidJob(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := m.run(t, ctx, boot.Guest{Modules: []string{"overlay"}, Jobs: []boot.Job{job("hello"), job("stubborn")}}, boot.Watch{
			Output: func(name string, _ []byte) {
				if name == "stubborn" {
					cancel()
				}
			},
		})
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, r.Results, 1)
	})
}
