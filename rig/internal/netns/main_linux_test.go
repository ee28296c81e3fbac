// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"testing"

	"forkrig/rig"
)

func TestMain(m *testing.M) { rig.Main(m, nil) }
