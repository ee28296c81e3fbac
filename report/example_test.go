// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"forkrig/recorder"
	"forkrig/report"
)

// The picture of one recording, as a page.
func ExamplePage_WriteHTML() {
	recording := recorder.Recording{
		Schema: recorder.Schema, Name: "reap IPv4", Length: 2 * time.Second,
		Outcome:   recorder.Outcome{Verdict: "fail", Observed: "1 zombie lasts"},
		Hosts:     []recorder.Host{{Name: "server"}},
		Processes: []recorder.Process{{ID: 1, Host: "server", Name: "server", PID: 7}},
		Events: []recorder.Event{
			{ID: 1, At: time.Second, Kind: recorder.Exit, Host: "server", Process: 1, Text: "worker 9 is a zombie"},
		},
		Focus: 1,
	}
	var page bytes.Buffer
	if err := (report.Page{Pictures: []report.Picture{{Recording: recording}}}).WriteHTML(&page); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Contains(page.String(), "<title>reap IPv4</title>"))
	// Output: true
}
