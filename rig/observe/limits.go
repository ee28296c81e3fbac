// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits are the resource limits of a process by their names in getrlimit(2), such as
// RLIMIT_NOFILE.
type Limits map[string]Limit

// Limit is the soft and the hard limit on a resource, in the units of getrlimit(2);
// [Unlimited] is none.
type Limit struct{ Soft, Hard uint64 }

// Unlimited is RLIM_INFINITY.
const Unlimited = math.MaxUint64

// limitNames are the names of getrlimit(2) for those of /proc/PID/limits.
var limitNames = map[string]string{
	"Max cpu time": "RLIMIT_CPU", "Max file size": "RLIMIT_FSIZE", "Max data size": "RLIMIT_DATA",
	"Max stack size": "RLIMIT_STACK", "Max core file size": "RLIMIT_CORE", "Max resident set": "RLIMIT_RSS",
	"Max processes": "RLIMIT_NPROC", "Max open files": "RLIMIT_NOFILE", "Max locked memory": "RLIMIT_MEMLOCK",
	"Max address space": "RLIMIT_AS", "Max file locks": "RLIMIT_LOCKS", "Max pending signals": "RLIMIT_SIGPENDING",
	"Max msgqueue size": "RLIMIT_MSGQUEUE", "Max nice priority": "RLIMIT_NICE",
	"Max realtime priority": "RLIMIT_RTPRIO", "Max realtime timeout": "RLIMIT_RTTIME",
}

// nameWidth is that of the first column of /proc/PID/limits (proc_pid_limits(5)).
const nameWidth = 26

// parseLimits reads /proc/PID/limits. A resource that it does not know is left out.
func parseLimits(text string) (Limits, error) {
	limits := Limits{}
	for line := range strings.Lines(text) {
		if len(line) < nameWidth {
			return nil, fmt.Errorf("parse the limits: the line %q is short", line)
		}
		name, known := limitNames[strings.TrimSpace(line[:nameWidth])]
		if !known {
			continue
		}
		values := strings.Fields(line[nameWidth:])
		if len(values) < 2 {
			return nil, fmt.Errorf("parse the limits: %s has %d values", name, len(values))
		}
		var limit Limit
		for i, to := range []*uint64{&limit.Soft, &limit.Hard} {
			if *to = Unlimited; values[i] == "unlimited" {
				continue
			}
			value, err := strconv.ParseUint(values[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("parse the limits: %s: %w", name, err)
			}
			*to = value
		}
		limits[name] = limit
	}
	if len(limits) == 0 {
		return nil, fmt.Errorf("parse the limits: none of %d is there", len(limitNames))
	}
	return limits, nil
}
