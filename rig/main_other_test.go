// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "testing"

func TestMain(m *testing.M) { Main(m, nil) }
