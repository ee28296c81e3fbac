package scenarios

import (
	"maps"
	"testing"

	"forkrig/client/tcpclient"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

func TestMain(m *testing.M) {
	mergeIfAsked()
	programs := rig.Programs{
		"server": forkserver.Main,
		"client": tcpclient.Main,
		"inject": inject.Shim,
		"mute":   mute,
	}
	maps.Copy(programs, strangers)
	maps.Copy(programs, hostiles)
	rig.Main(suite{m}, programs)
}
