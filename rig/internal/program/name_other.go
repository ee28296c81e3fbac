// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package program

// SetProcessName gives the process a name: on Linux alone.
func SetProcessName(string) {}
