// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "os"

func readPipe(*os.File, []byte) (int, error) { return 0, errUnsupported }
func fillPipe(*os.File) (int, error)         { return 0, errUnsupported }
func emptyPipe(*os.File, int) error          { return errUnsupported }
