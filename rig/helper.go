// SPDX-License-Identifier: Apache-2.0

package rig

import "os"

// InProgram says whether this process is a helper program of the test binary, or
// the sandbox's init, rather than the tests. A TestMain asks it before it does
// something of its own ahead of [Main].
func InProgram() bool { return programName(os.Args[0]) != "" }
