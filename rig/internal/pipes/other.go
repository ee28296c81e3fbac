// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pipes

import (
	"errors"
	"os"
)

func Read(*os.File, []byte) (int, error) { return 0, errors.ErrUnsupported }
func Fill(*os.File) (int, error)         { return 0, errors.ErrUnsupported }
func Empty(*os.File, int) error          { return errors.ErrUnsupported }
func CloseReader(r *os.File) error       { return r.Close() }
func CloseWriter(w *os.File) error       { return w.Close() }
