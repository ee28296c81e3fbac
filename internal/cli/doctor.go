// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
)

// examineMachine says what the machine lacks.
func examineMachine(out *os.File) int {
	fmt.Fprintln(out, "not yet")
	return statusUnable
}
