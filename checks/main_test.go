// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"testing"

	"forkrig/rig"
	"forkrig/server/forkserver"
)

func TestMain(m *testing.M) { rig.Main(m, rig.Programs{"server": forkserver.Main}) }
