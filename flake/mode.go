// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// Mode is a way to run the suite.
type Mode struct {
	Name     string
	Meaning  string
	Together int  // how many suites run side by side
	Hogs     int  // how many processes keep each processor busy
	OneCore  bool // the suite may use one processor only
	Race     bool // the test binary is built with the race detector
}

// Modes are all of them, in the order in which they run.
var Modes = []Mode{
	{Name: "plain", Meaning: "one suite alone", Together: 1},
	{Name: "hogs", Meaning: "beside 2 processes on each processor that compute without end", Together: 1, Hogs: 2},
	{Name: "one-core", Meaning: "on one processor", Together: 1, OneCore: true},
	{Name: "race", Meaning: "under the race detector (needs a C compiler)", Together: 1, Race: true},
	{Name: "side-by-side", Meaning: "8 suites at once", Together: 8},
}

// choose returns the modes with these names, separated by commas, in the order
// given; "" means all.
func choose(names string) ([]Mode, error) {
	if strings.TrimSpace(names) == "" {
		return Modes, nil
	}
	var chosen []Mode
	for name := range strings.SplitSeq(names, ",") {
		mode, err := modeOf(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, mode)
	}
	return chosen, nil
}

func modeOf(name string) (Mode, error) {
	var known []string
	for _, mode := range Modes {
		if mode.Name == name {
			return mode, nil
		}
		known = append(known, mode.Name)
	}
	return Mode{}, fmt.Errorf("there is no mode %q: give one of %s", name, strings.Join(known, ", "))
}

// environment is what is added to the environment of the mode's suites.
func (m Mode) environment() []string {
	if !m.Race {
		return nil
	}
	// As make race does. Without the latter every process ends a second late.
	return []string{"FORKRIG_TIME_SCALE=3", "GORACE=atexit_sleep_ms=0"}
}
