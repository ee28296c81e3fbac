// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// ticksPerSecond is USER_HZ, in which /proc/PID/stat counts time. It is 100 on
// every architecture that Go runs on.
const ticksPerSecond = 100

func ofTicks(n uint64) time.Duration { return time.Duration(n) * (time.Second / ticksPerSecond) }

// The fields of /proc/PID/stat behind the name, counted from the state, which is the
// third field of proc_pid_stat(5).
const (
	statParent  = 1
	statUTime   = 11
	statSTime   = 12
	statThreads = 17
	statStart   = 19
	statFields  = 20 // how many are needed
)

// parseStat reads a line of /proc/PID/stat, but for Age. It is on the way of every
// wait, for every process: that is why it is done by hand, without an allocation but
// the name.
func parseStat(line []byte) (ProcessInfo, error) {
	// The name is in parentheses and may contain any character, parentheses included.
	opened, closed := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if opened < 1 || closed < opened || closed+2 >= len(line) {
		return ProcessInfo{}, errors.New("parse the state of a process: it has no name in parentheses")
	}
	pid, ok := number(bytes.TrimRight(line[:opened], " "))
	if !ok {
		return ProcessInfo{}, errors.New("parse the state of a process: it does not begin with a number")
	}
	info := ProcessInfo{PID: int(pid), Name: string(line[opened+1 : closed])}
	rest := line[closed+2:]
	var ticks uint64
	for field := range statFields {
		value, after, _ := bytes.Cut(rest, []byte{' '})
		rest = after
		ok := len(value) > 0
		var n uint64
		switch field {
		case 0:
			if ok = len(value) == 1; ok {
				info.State = ProcessState(value[0])
			}
		case statParent:
			n, ok = number(value)
			info.ParentPID = int(n)
		case statUTime, statSTime:
			n, ok = number(value)
			ticks += n
		case statThreads:
			n, ok = number(value)
			info.Threads = int(n)
		case statStart:
			info.startTicks, ok = number(bytes.TrimRight(value, "\n"))
		}
		if !ok {
			return ProcessInfo{}, fmt.Errorf("parse the state of process %d: field %d is %q", info.PID, field+3, value)
		}
	}
	info.CPUTime = ofTicks(ticks)
	return info, nil
}

// number reads a decimal number without a sign.
func number(digits []byte) (n uint64, ok bool) {
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, true
}
