// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// needsSockDestroy skips the test where the kernel closes no foreign socket, or fails it
// where that is required.
func needsSockDestroy(t *testing.T) {
	t.Helper()
	host := New(t).NewHost("probe")
	listener, err := host.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:7000"))
	require.NoError(t, err)
	defer listener.Close()
	var missing *MissingError
	if err := host.Destroy(func(Socket) bool { return true }); errors.As(err, &missing) {
		SkipIfMissing(t, err) // any other error comes from a kernel that knows the request
	}
}
