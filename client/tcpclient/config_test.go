// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:7000"
	for _, test := range []struct {
		args []string
		want string // the whole line, without the program's name
	}{
		{nil, "no address given: add the server's HOST:PORT, for example 127.0.0.1:7000"},
		{[]string{"-json"}, "no address given: add the server's HOST:PORT, for example 127.0.0.1:7000"},
		{[]string{address, "[::1]:7"}, "several addresses given, 127.0.0.1:7000 and [::1]:7: give one HOST:PORT"},
		{[]string{"localhost"}, `address "localhost" is not HOST:PORT: write 127.0.0.1:7000 or [::1]:7000`},
		{[]string{"::1:7000"}, `address "::1:7000" is not HOST:PORT: write 127.0.0.1:7000 or [::1]:7000`},
		{[]string{":7000"}, `address ":7000" is not HOST:PORT: write 127.0.0.1:7000 or [::1]:7000`},
		{[]string{"h:0"}, `port "0" of address "h:0" is not a port: give a number from 1 to 65535`},
		{[]string{"h:65536"}, `port "65536" of address "h:65536" is not a port: give a number from 1 to 65535`},
		{[]string{"h:http"}, `port "http" of address "h:http" is not a port: give a number from 1 to 65535`},
		{[]string{"-nonsense", address}, "flag provided but not defined: -nonsense; -h lists the flags"},
		{[]string{address, "-count"}, "flag needs an argument: -count; -h lists the flags"},
		{[]string{address, "-count", "x"}, `invalid value "x" for flag -count: parse error; -h lists the flags`},
		{[]string{address, "-count", "-1"}, "-count -1: must be 1 or more, or 0 to count without end"},
		{[]string{address, "-interval", "1s"}, "-interval is for counting: add -count N or leave it out"},
		{[]string{address, "-count", "1", "-interval", "-1s"}, "-interval -1s: must not be negative; 0s does not wait"},
		{[]string{address, "-count", "1", "-size", "1", "-json"}, "-count counts and -json is for a load: leave one of them out"},
		{[]string{address, "-connections", "0"}, "-connections 0: must be 1 or more"},
		{[]string{address, "-parallel", "0"}, "-parallel 0: must be 1 or more"},
		{[]string{address, "-messages", "-1"}, "-messages -1: must not be negative"},
		{[]string{address, "-size", "0"}, "-size 0: must be 1 or more"},
		{[]string{address, "-timeout", "-1s"}, "-timeout -1s: must not be negative; 0s is no limit"},
		{[]string{address, "-service", "lower"}, `invalid value "lower" for flag -service: must be one of [echo upper]; -h lists the flags`},
		{[]string{address, "-leave", "politely"}, `invalid value "politely" for flag -leave: must be one of [half-close close reset]; -h lists the flags`},
		{[]string{address, "-leave-unread"}, "-leave-unread cannot half-close, which reads the reply: add -leave close or reset"},
		{[]string{address, "-leave-unread", "-leave", "close", "-size", "1"}, "-leave-unread needs a reply of two bytes or more: give -messages 1 and -size 2, or more"},
		{[]string{address, "-one-shot", "-messages", "2"}, "-one-shot is one message, not 2: leave -messages out"},
		{[]string{address, "-connections", "9", "-parallel", "4", "-hold"}, "-parallel 4: must be 9 with -hold, which keeps all connections open; leave it out"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			r := runClient(t, nil, test.args...)
			assert.Equal(t, ExitUsage, r.status)
			assert.Equal(t, programName+": "+test.want+"\n", r.err)
			assert.Empty(t, r.out)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"127.0.0.1:7000", "--help"}} {
		r := runClient(t, nil, args...)
		assert.Equal(t, ExitOK, r.status)
		assert.Empty(t, r.err)
		new(config).flags().VisitAll(func(f *flag.Flag) {
			assert.Regexp(t, `(?m)^  -`+f.Name+`\b`, r.out)
		})
		assert.NotContains(t, r.out, "%!")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args  string
		check func(*testing.T, config)
	}{
		{"h:1", func(t *testing.T, c config) {
			assert.Equal(t, interactive, c.mode)
			assert.Equal(t, 10*time.Second, c.timeout)
		}},
		{"h:1 -timeout 1s -from 127.0.0.2", func(t *testing.T, c config) {
			assert.Equal(t, interactive, c.mode)
			assert.Equal(t, "127.0.0.2", c.from.String())
		}},
		{"-from ::1 [::1]:7", func(t *testing.T, c config) {
			assert.Equal(t, "::1", c.from.String())
			assert.Equal(t, "[::1]:7", c.address)
		}},
		{"-count 3 h:1 -interval 5ms", func(t *testing.T, c config) {
			assert.Equal(t, counting, c.mode)
			assert.Equal(t, 3, c.count)
			assert.Equal(t, 5*time.Millisecond, c.interval)
		}},
		{"-connections 100 h:1 -parallel 7", func(t *testing.T, c config) {
			assert.Equal(t, loading, c.mode)
			assert.Equal(t, []int{100, 7}, []int{c.connections, c.parallel})
		}},
		{"-json h:1", func(t *testing.T, c config) {
			assert.Equal(t, []int{1, 1}, []int{c.connections, c.parallel})
		}},
		{"-parallel 50 h:1", func(t *testing.T, c config) {
			assert.Equal(t, []int{50, 50}, []int{c.connections, c.parallel})
		}},
		{"-connections 10 h:1", func(t *testing.T, c config) {
			assert.Equal(t, []int{10, 1}, []int{c.connections, c.parallel})
		}},
		{"-connections 10 h:1 -hold", func(t *testing.T, c config) {
			assert.Equal(t, []int{10, 10}, []int{c.connections, c.parallel})
		}},
		{"-seed 18446744073709551615 h:1", func(t *testing.T, c config) {
			assert.Equal(t, uint64(1<<64-1), c.seed)
		}},
	} {
		t.Run(test.args, func(t *testing.T) {
			c, err := parseConfig(strings.Fields(test.args))
			require.NoError(t, err)
			test.check(t, c)
		})
	}
}

// FuzzParseConfig: a command line that is taken is complete, and no part of it is
// out of bounds; one that is not says why.
func FuzzParseConfig(f *testing.F) {
	for _, line := range []string{"127.0.0.1:7000", "-connections 10 -parallel 3 [::1]:7000", "-count 3 -interval 1ms h:1", "-connections 4 -parallel 3 -hold h:1",
		"-leave reset -hold h:1", "-from ::1 h:1", "-seed 0x10 h:1", "-timeout -1s h:1", "h:0", "-connections 99999999999999999999 h:1", "-parallel 9223372036854775807 h:1"} {
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
			if cfg.hold {
				require.GreaterOrEqual(t, cfg.parallel, cfg.connections)
			}
		}
	})
}
