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
		{[]string{address, "-count", "-1"}, `invalid value "-1" for flag -count: give a whole number, at least 0; -h lists the flags`},
		{[]string{address, "-interval", "1s"}, "-interval is for counting: add -count N or leave it out"},
		{[]string{address, "-count", "1", "-interval", "-1s"}, `invalid value "-1s" for flag -interval: give a duration, such as 500ms or 10s; -h lists the flags`},
		{[]string{address, "-count", "1", "-size", "1", "-json"}, "-count counts and -json is for a load: leave one of them out"},
		{[]string{address, "-connections", "0"}, `invalid value "0" for flag -connections: give a whole number, at least 1; -h lists the flags`},
		{[]string{address, "-parallel", "x"}, `invalid value "x" for flag -parallel: give a whole number, at least 1; -h lists the flags`},
		{[]string{address, "-size", "0"}, `invalid value "0" for flag -size: give a whole number, at least 1; -h lists the flags`},
		{[]string{address, "-seed", "-3"}, `invalid value "-3" for flag -seed: give a whole number, at least 0; -h lists the flags`},
		{[]string{address, "-timeout", "10"}, `invalid value "10" for flag -timeout: give a duration, such as 500ms or 10s; -h lists the flags`},
		{[]string{address, "-from", "here"}, `invalid value "here" for flag -from: give IP or IP:PORT, such as 127.0.0.2 or [::1]:5000; -h lists the flags`},
		{[]string{address, "-service", "lower"}, `invalid value "lower" for flag -service: give one of echo, upper; -h lists the flags`},
		{[]string{address, "-leave", "politely"}, `invalid value "politely" for flag -leave: give one of half-close, close, reset, stall, kill; -h lists the flags`},
		{[]string{address, "-stall-for", "1s"}, "-stall-for is for -leave stall: add it or leave -stall-for out"},
		{[]string{address, "-leave-early", "-leave-unread"}, "-leave-early and -leave-unread exclude each other: leave one of them out"},
		{[]string{address, "-leave-unread"}, "-leave-unread cannot half-close, which reads the reply: add -leave close, reset, stall or kill"},
		{[]string{address, "-leave-early", "-messages", "0"}, "-leave-early and -leave-unread need a message: give -messages 1 or more"},
		{[]string{address, "-one-shot", "-messages", "2"}, "-one-shot is one message, not 2: leave -messages out"},
		{[]string{address, "-connections", "2", "-processes", "3"}, "-connections 2 is too few for -processes 3: give at least one to each"},
		{[]string{address, "-connections", "9", "-processes", "2", "-parallel", "4", "-hold"}, "-parallel 4 is too few where all connections stand at the same time: give -parallel 5 or leave it out"},
		{[]string{address, "-connections", "9", "-parallel", "4", "-leave", "kill"}, "-parallel 4 is too few where all connections stand at the same time: give -parallel 9 or leave it out"},
		{[]string{address, "-connections", "9", "-parallel", "4", "-leave", "stall"}, "-parallel 4 is too few where all connections stand at the same time: give -parallel 9 or leave it out"},
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
			assert.Equal(t, "127.0.0.2:0", c.from.String())
		}},
		{"-from [::1]:5 [::1]:7", func(t *testing.T, c config) {
			assert.Equal(t, "[::1]:5", c.from.String())
			assert.Equal(t, "[::1]:7", c.address)
		}},
		{"-count 3 h:1 -interval 5ms", func(t *testing.T, c config) {
			assert.Equal(t, counting, c.mode)
			assert.Equal(t, 3, c.count)
			assert.Equal(t, 5*time.Millisecond, c.interval)
		}},
		{"-connections 100 h:1 -parallel 7", func(t *testing.T, c config) {
			assert.Equal(t, loading, c.mode)
			assert.Equal(t, []int{100, 7, 0}, []int{c.connections, c.parallel, c.processes})
		}},
		{"-json h:1", func(t *testing.T, c config) {
			assert.Equal(t, []int{1, 1, 0}, []int{c.connections, c.parallel, c.processes})
		}},
		{"-parallel 50 h:1 -processes 4", func(t *testing.T, c config) {
			assert.Equal(t, []int{200, 50, 4}, []int{c.connections, c.parallel, c.processes})
		}},
		{"-connections 10 h:1 -processes 4 -hold", func(t *testing.T, c config) {
			assert.Equal(t, []int{10, 3, 4}, []int{c.connections, c.parallel, c.processes})
		}},
		{"-connections 10 h:1 -leave stall -stall-for 1s", func(t *testing.T, c config) {
			assert.Equal(t, 1, c.parallel)
		}},
		{"-connections 10 h:1 -leave stall", func(t *testing.T, c config) {
			assert.Equal(t, 10, c.parallel)
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

func TestShare(t *testing.T) {
	t.Parallel()
	for processes := 1; processes <= 7; processes++ {
		for connections := processes; connections <= 30; connections++ {
			next := 0
			for i := range processes {
				p := share(connections, processes, i)
				require.Equal(t, next, p.first)
				require.LessOrEqual(t, p.connections, share(connections, processes, 0).connections)
				require.GreaterOrEqual(t, p.connections, connections/processes)
				for range p.connections {
					require.Equal(t, i, processOf(next, connections, processes))
					next++
				}
			}
			require.Equal(t, connections, next)
		}
	}
}

func TestParsePart(t *testing.T) {
	t.Parallel()
	p := share(10, 4, 2)
	args := partArguments(p, 7, []string{"h:1", "-json"})
	parsed, rest, ok := parsePart(args)
	assert.True(t, ok)
	assert.Equal(t, part{process: 2, processes: 4}, parsed)
	assert.Equal(t, []string{"-seed", "7", "h:1", "-json"}, rest)
	for _, wrong := range []string{"", partCommand, partCommand + " 1", partCommand + " 4/4", partCommand + " -1/4", "h:1 -json"} {
		_, _, ok := parsePart(strings.Fields(wrong))
		assert.False(t, ok, wrong)
	}
}
