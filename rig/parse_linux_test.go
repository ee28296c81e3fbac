package rig

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSignals(t *testing.T) {
	t.Parallel()
	const status = "Name:\tx\nSigQ:\t0/1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000010000\n" +
		"SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000200\nCapInh:\t0\n"
	masks, err := parseSignals([]byte(status))
	require.NoError(t, err)
	assert.True(t, masks.Pending.Has(syscall.SIGCHLD))
	assert.Equal(t, "{SIGHUP}", masks.Blocked.String())
	assert.Equal(t, []syscall.Signal{syscall.SIGPIPE}, masks.Ignored.Signals())
	assert.Equal(t, []syscall.Signal{syscall.SIGUSR1, 64}, masks.Caught.Signals())
	assert.False(t, masks.Caught.Has(0))

	_, err = parseSignals([]byte("Name:\tx\n"))
	assert.ErrorContains(t, err, "0 of 5 signal lines")
	_, err = parseSignals([]byte("SigCgt:\tnonsense\n"))
	assert.ErrorContains(t, err, "parse SigCgt")
}

func TestSignalsOfALivingProcess(t *testing.T) {
	t.Parallel()
	c := stoppable("ignoring")
	p := startReady(t, New(t).NewHost("h"), c)
	masks, err := p.Signals()
	require.NoError(t, err)
	assert.True(t, masks.Ignored.Has(syscall.SIGUSR1), masks.Ignored.String())
	assert.True(t, masks.Caught.Has(syscall.SIGTERM), "the Go runtime catches it: %v", masks.Caught)
}

func TestFDKinds(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]FD{
		"socket:[42]":                      {Kind: FDSocket, Inode: 42},
		"pipe:[7]":                         {Kind: FDPipe, Inode: 7},
		"anon_inode:[eventpoll]":           {Kind: FDAnon},
		"/dev/null":                        {Kind: FDFile},
		"/tmp/socket:[42]":                 {Kind: FDFile},
		"net:[4026531840]":                 {Kind: FDOther},
		"socket:[nonsense]":                {Kind: FDOther},
		"/memfd:x (deleted)":               {Kind: FDFile},
		"socket:[99999999999999999999999]": {Kind: FDOther},
	} {
		want.Number, want.Target = 3, target
		assert.Equal(t, want, fdOf(3, target))
	}
}

func FuzzParseSignals(f *testing.F) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status)
	f.Add([]byte("SigPnd:\t\nShdPnd:\nSigBlk:x\nSigIgn:1\nSigCgt:2\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		masks, err := parseSignals(status)
		if err != nil && masks != (SignalMasks{}) {
			t.Errorf("masks %v with error %v", masks, err)
		}
	})
}

func FuzzFDOf(f *testing.F) {
	f.Add("socket:[1]")
	f.Add("anon_inode:[eventfd]")
	f.Fuzz(func(t *testing.T, target string) {
		fd := fdOf(5, target)
		if fd.Target != target || fd.Kind == "" || fd.Inode != 0 && fd.Kind != FDSocket && fd.Kind != FDPipe {
			t.Errorf("%q became %+v", target, fd)
		}
	})
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"))
	f.Fuzz(func(t *testing.T, written []byte) {
		output := newOutput()
		output.collect(newChunks(written))
		for _, line := range output.Lines() {
			if len(line) > outputLineBytes {
				t.Errorf("a line of %d bytes was kept", len(line))
			}
		}
		want := 0
		for i, b := range written {
			if b == '\n' || i == len(written)-1 {
				want++
			}
		}
		if output.Total() != want {
			t.Errorf("%d lines of %q, want %d", output.Total(), written, want)
		}
	})
}

// newChunks returns a reader that gives out less than it is asked for, as a
// pipe may.
func newChunks(data []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(data)) }
