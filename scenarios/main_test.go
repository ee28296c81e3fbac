// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"flag"
	"testing"

	"forkrig/client/tcpclient"
	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

// options are the flags of forkrig's command, which work here, too.
var options = cli.TestFlags(flag.CommandLine)

func TestMain(m *testing.M) {
	options.TestMain(m, rig.Programs{"server": forkserver.Main, "client": tcpclient.Main, "inject": inject.Shim})
}
