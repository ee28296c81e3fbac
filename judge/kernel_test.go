// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKernelBinds asks the kernel that runs. Where it is one of those that
// answer wrongly, this test says so.
func TestKernelBinds(t *testing.T) { assert.NoError(t, kernelBinds(t)) }

// TestKernelIsBlamed gives wrong answers in the kernel's place.
func TestKernelIsBlamed(t *testing.T) {
	for _, cell := range bindCells {
		assert.Empty(t, cell.judge(cell.inUse), cell.name)
		complaint := cell.judge(!cell.inUse)
		assert.Contains(t, complaint, cell.name)
		if cell.inUse {
			require.NotEmpty(t, cell.known, "%s: no kernel is known to let it pass", cell.name)
			assert.Contains(t, complaint, cell.known)
		}
	}
}
