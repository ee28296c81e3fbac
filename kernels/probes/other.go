// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probes

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

type namespace struct{}

func inNamespace(context.Context, time.Duration, func(*namespace)) error {
	return missingError{feature: fmt.Sprintf("Linux (this is %s)", runtime.GOOS)}
}

// All returns no probe: they ask Linux.
func All() []Probe { return nil }

func (*namespace) bindRows(State, bool) []BindRow { return nil }
func (*namespace) bindAnswers(BindRow) string     { return "" }
