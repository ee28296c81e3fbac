package search

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps rapid from leaving files: what it finds it prints, with its seed.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
