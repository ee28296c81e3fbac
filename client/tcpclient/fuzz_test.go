package tcpclient

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseConfig: a command line that is taken is complete, and no part of it is
// out of bounds; one that is not says why.
func FuzzParseConfig(f *testing.F) {
	for _, line := range []string{"127.0.0.1:7000", "-connections 10 -parallel 3 [::1]:7000", "-count 3 -interval 1ms h:1", "-processes 4 -connections 3 h:1",
		"-leave kill -hold h:1", "-from [::1]:5 h:1", "-seed 0x10 h:1", "-timeout -1s h:1", "h:0", "-connections 99999999999999999999 h:1", "-processes 9223372036854775807 -parallel 2 h:1"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cfg, err := parseConfig(strings.Fields(line))
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, cfg.address)
		require.GreaterOrEqual(t, cfg.timeout, 0*cfg.timeout)
		if cfg.mode == loading {
			require.Positive(t, cfg.connections)
			require.Positive(t, cfg.parallel)
			require.GreaterOrEqual(t, cfg.connections, max(cfg.processes, 1))
		}
	})
}
