// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"forkrig/kernels/probes"
)

// rightBinds are the right answers to the probes on which the checks of bind rely, by their
// numbers. Some kernels answer wrongly, which is no error of the subject.
var rightBinds = map[string]string{
	"K1": "EADDRINUSE", "K1b": "OK", "K2": "EADDRINUSE", "K3": "EADDRINUSE", "K4": "EADDRINUSE", "K6": "EADDRINUSE",
}

// kernelBinds asks the kernel about bind, and returns which answers are wrong. Once on a busy
// machine a connection left no TIME_WAIT: so wrong answers are asked for again.
func kernelBinds(ctx context.Context) (err error) {
	asked := slices.DeleteFunc(probes.All(), func(p probes.Probe) bool { return rightBinds[p.ID] == "" })
	const tries = 3
	for range tries {
		if err = wrongBinds(probes.Run(ctx, probes.Options{Probes: asked})); err == nil {
			break
		}
	}
	return err
}

// wrongBinds says which answers are wrong. What the machine lacks, such as IPv6, is not asked.
func wrongBinds(answers []probes.Answer) error {
	var wrong []string
	for _, a := range answers {
		if a.Broken != "" {
			return fmt.Errorf("ask the kernel about %s: %s", a.Name, a.Broken)
		}
		if right := rightBinds[a.ID]; a.Value != "" && a.Value != right {
			wrong = append(wrong, fmt.Sprintf("%s is %s instead of %s (%s: %s)", a.Name, a.Value, right, a.ID, a.Source))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("KERNEL: this kernel answers bind wrongly, so nothing is known about the subject: %s", strings.Join(wrong, "; "))
	}
	return nil
}
