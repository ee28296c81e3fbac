// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"

	"forkrig/internal/doctor"
	"forkrig/scorecard"
)

// examineMachine prints what the machine lacks and returns the exit status.
func examineMachine(out *os.File) int { return doctor.Main(out, scorecard.Colour(out)) }
