// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fault_test

import "forkrig/rig"

var programs rig.Programs
