package scenarios

import (
	"testing"

	"forkrig/client/tcpclient"
	"forkrig/rig"
	"forkrig/server/forkserver"
)

func TestMain(m *testing.M) {
	rig.Main(m, rig.Programs{"server": forkserver.Main, "client": tcpclient.Main})
}
