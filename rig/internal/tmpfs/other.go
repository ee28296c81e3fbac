// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tmpfs

import "errors"

func Mount(string, int64) error  { return errors.ErrUnsupported }
func Unmount(string) error       { return errors.ErrUnsupported }
func Fill(string) (int64, error) { return 0, errors.ErrUnsupported }
