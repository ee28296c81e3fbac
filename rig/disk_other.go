// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

func mountDisk(string, int64) error  { return errUnsupported }
func unmountDisk(string) error       { return errUnsupported }
func fillDisk(string) (int64, error) { return 0, errUnsupported }
