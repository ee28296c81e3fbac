// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"testing"

	"forkrig/rig"
)

func TestMain(m *testing.M) { rig.Main(m, nil) }
