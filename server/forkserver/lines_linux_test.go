package forkserver

import (
	"strings"
	"testing"
)

// TestParseConfigOfAnyLine: a command line that is taken is complete, and no part of it is
// out of bounds.
func TestParseConfigOfAnyLine(t *testing.T) {
	for _, line := range []string{"", "-listen 127.0.0.1:7000", "-listen [::]:0 -worker exec", "-backlog -1", "-max-workers 0", "-grace -1s",
		"-defect no-reap", "-service nothing", "-listen 1.2.3.4:65536", "-idle 9999999h", "-h", "extra"} {
		c, err := parseConfig(strings.Fields(line))
		switch {
		case err != nil && err.Error() == "":
			t.Error("an error without words")
		case err == nil && (!c.listen.IsValid() || c.backlog < 0 || c.maxWorkers < 0 || c.grace < 0):
			t.Errorf("%q became %+v", line, c)
		}
	}
}
