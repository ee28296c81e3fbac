// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"path/filepath"
	"strconv"
)

const procRoot = "/proc"

func procPath(pid int, parts ...string) string {
	return filepath.Join(append([]string{procRoot, strconv.Itoa(pid)}, parts...)...)
}
