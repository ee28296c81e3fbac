// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/report"
)

// write returns the page as it is written.
func write(t testing.TB, p report.Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.WriteHTML(&b))
	return b.String()
}
