// SPDX-License-Identifier: Apache-2.0

package report

import (
	"forkrig/recorder"
	"forkrig/rig"
)

// OnFailure records the lab of a test, and writes what happened into the directory with
// [WriteFiles] where the test fails; the test's log names the page. Call it before [rig.New], so that
// the recording ends after the lab, and call what it returns when the lab has its hosts. A path
// that is not absolute is one of the directory in which the test runs.
func OnFailure(tb rig.TB, directory string) (record func(*rig.Lab)) {
	return keep(tb, directory, false)
}

// Always is [OnFailure] for tests that pass, too.
func Always(tb rig.TB, directory string) (record func(*rig.Lab)) { return keep(tb, directory, true) }

func keep(tb rig.TB, directory string, always bool) (record func(*rig.Lab)) {
	tb.Helper()
	var r *recorder.Recorder
	tb.Cleanup(func() {
		if r == nil {
			return
		}
		r.Stop()
		outcome := recorder.Outcome{Verdict: "pass"}
		if tb.Failed() {
			outcome.Verdict = "fail"
		}
		if !always && !tb.Failed() {
			return
		}
		name, err := WriteFiles(directory, tb.Name(), r.Recording(tb.Name(), outcome))
		if err != nil {
			tb.Errorf("keep the recording: %v", err)
		} else if tb.Failed() {
			tb.Log("what happened: " + name[:len(name)-len(".json")] + ".html")
		}
	})
	return func(lab *rig.Lab) { r = recorder.Record(lab) }
}
