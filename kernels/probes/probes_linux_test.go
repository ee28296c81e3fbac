// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

func TestMain(m *testing.M) { rig.Main(m, nil) }

// since says what every kernel answers from a release of mainline on: the one with the last
// change that the probe's source names. A stable kernel of an older series may have that
// change or not, so nothing is said of it.
var since = map[string]struct {
	major, minor int
	answer       string
}{
	"K1":  {6, 2, "EADDRINUSE"},
	"K1b": {4, 4, "OK"},
	"K2":  {6, 3, "EADDRINUSE"},
	"K3":  {6, 6, "EADDRINUSE"},
	"K3b": {6, 6, "EADDRINUSE"},
	"K4":  {6, 9, "EADDRINUSE"},
	"K5":  {6, 9, "EADDRINUSE"},
	"K6":  {6, 1, "EADDRINUSE"},
	"K7":  {6, 2, "EADDRINUSE"},
	"K8":  {6, 18, "OK"},
	"K9":  {5, 7, "OK"},
	"K10": {5, 7, "OK"},
	"K11": {6, 3, "a port of the range"},
	"K12": {6, 12, "EADDRNOTAVAIL"},
	"K13": {6, 13, "EOPNOTSUPP"},
	"K14": {5, 4, "1000"},
	"K15": {6, 13, "1 of 3 connect"},
	"K16": {5, 14, "moves to the other listener"},
	"K17": {7, 1, "accept returns"},
	"K18": {7, 1, "accepts"},
	"K19": {6, 5, "after the same time"},
	"K20": {6, 9, "its FIN is sent"},
	"K21": {6, 15, "disconnect: EOPNOTSUPP"},
	"K22": {7, 2, "lives on"},
	"K23": {6, 7, "EINVAL"},
	"K24": {4, 19, "OK"},
	"K25": {6, 14, "OK"},
	"K26": {6, 18, "FIN"},
	"K27": {6, 6, "OK, read: EPIPE"},
	"K28": {7, 0, "is taken"},
	"K29": {6, 11, "it is gone"},
	"K30": {6, 11, "0"},
	"K31": {6, 0, "2147483647"},
	"K33": {6, 16, "more than 6 MiB"},
	"K36": {6, 5, "it is taken back"},
	"K38": {6, 9, "after 2 peeks the offset is 2"},
	"K39": {6, 4, "1000"},
	"K40": {7, 2, "EPERM"},
	"K41": {5, 11, "ETIMEDOUT"},
	"K42": {7, 1, "ETIMEDOUT"},
	"K44": {6, 15, "2000"},
	"K45": {5, 2, "EINTR"},
	"K50": {6, 18, "each ends with the answer"},
	"K52": {6, 18, "OK"},
	"K53": {6, 8, "yes"},
}

// TestProbes asks every probe and compares what the running kernel must answer.
func TestProbes(t *testing.T) {
	release := rig.Kernel()
	var major, minor int
	_, err := fmt.Sscanf(release, "%d.%d", &major, &minor)
	require.NoError(t, err, release)
	asked := map[string]bool{}
	answers := Run(t.Context(), Options{Parallel: 4, Asked: func(p Probe) { asked[p.ID] = true }})
	require.Len(t, answers, len(All()))
	for i, answer := range answers {
		t.Logf("%-4s %5d ms  %s: %s", answer.ID, answer.Millis, answer.Name, answer)
		assert.Equal(t, All()[i].ID, answer.ID, "the order of the answers")
		assert.True(t, asked[answer.ID], answer.ID)
		known, listed := since[answer.ID]
		assert.True(t, listed, "%s has no known answer", answer.ID)
		switch {
		case answer.Missing != "":
			assert.Empty(t, answer.Value, answer.ID)
		case major > known.major || major == known.major && minor >= known.minor:
			assert.Equal(t, known.answer, answer.String(), "%s %s: %s", answer.ID, answer.Name, answer.Source)
		default:
			assert.NotEmpty(t, answer.Value, "%s %s: %s", answer.ID, answer.Name, answer)
		}
	}
}

// TestAll: each probe has a number, a name and a source of its own.
func TestAll(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		assert.Regexp(t, `^K([1-9]|[1-4][0-9]|5[0-4])b?$`, p.ID)
		assert.Regexp(t, regexp.MustCompile(`\b[0-9a-f]{12}\b`), p.Source, "%s names a commit", p.ID)
		for _, text := range []string{p.ID, p.Name, p.Source} {
			assert.NotEmpty(t, text, p.ID)
			assert.False(t, seen[text], "%s: %s", p.ID, text)
			assert.NotContains(t, text, "\n", p.ID)
			seen[text] = true
		}
		assert.LessOrEqual(t, len(p.Name), 100, p.ID)
		assert.NotNil(t, p.ask, p.ID)
	}
	assert.GreaterOrEqual(t, len(All()), 35)
	assert.Len(t, since, len(All()))
}

// TestNoAnswer: what the machine lacks is missing, what went wrong is broken, and neither has
// a value.
func TestNoAnswer(t *testing.T) {
	asked := []Probe{
		{ID: "sysctl", ask: func(n *namespace) string { return n.sysctl("tcp_of_tomorrow") }},
		{ID: "feature", ask: func(n *namespace) string { n.missing("IPv8", unix.EAFNOSUPPORT); return "lost" }},
		{ID: "broken", ask: func(n *namespace) string { n.must(unix.EIO, "read the tea leaves"); return "lost" }},
		{ID: "value", ask: func(*namespace) string { return "fine" }},
	}
	var told []string
	answers := Run(t.Context(), Options{Probes: asked, Answered: func(a Answer) { told = append(told, a.ID) }})
	require.Len(t, answers, 4)
	assert.Equal(t, []string{"sysctl", "feature", "broken", "value"}, told)
	assert.Equal(t, "missing: sysctl tcp_of_tomorrow", answers[0].String())
	assert.Equal(t, "missing: IPv8", answers[1].String())
	assert.Equal(t, "broken: read the tea leaves: input/output error", answers[2].String())
	for _, answer := range answers[:3] {
		assert.Empty(t, answer.Value)
	}
	text, err := json.Marshal(answers[1])
	require.NoError(t, err)
	assert.Regexp(t, `^{"id":"feature","name":"","source":"","missing":"IPv8","millis":\d+}$`, string(text))
}

// TestPrivilege: a process that may not make namespaces knows nothing, and says what it lacks.
func TestPrivilege(t *testing.T) {
	var answer Answer
	err := inNamespace(t.Context(), limit, func(n *namespace) {
		n.withoutCapabilities(func() {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				answer.Missing = explainUnshare(err).(missingError).feature
			}
		})
	})
	require.NoError(t, err)
	assert.Equal(t, "CAP_SYS_ADMIN", answer.Missing)
}

// TestRunEnds: the end of the context ends a probe that waits, also in a system call that the
// kernel does not end, and no further one is asked.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var returned atomic.Bool
	waits := Probe{ID: "waits", ask: func(n *namespace) string {
		listener := n.listener("127.0.0.1:5000", 1)
		accept := listener.wait(func() error {
			_, _, err := unix.Accept(listener.fd)
			return err
		})
		cancel(errors.New("no time left"))
		err := <-accept.ended
		returned.Store(true)
		return errorName(err)
	}}
	answers := Run(ctx, Options{Probes: []Probe{waits, {ID: "late"}}})
	require.Len(t, answers, 1)
	assert.True(t, returned.Load())
	assert.Equal(t, "EINVAL", answers[0].Value, "what accept returns once its listener is shut down")
}

// TestNamespaces: what a probe sets is gone with its namespace, and its thread is back where
// it came from.
func TestNamespaces(t *testing.T) {
	where := func() string {
		stat := unix.Stat_t{}
		require.NoError(t, unix.Stat("/proc/thread-self/ns/net", &stat))
		return fmt.Sprint(stat.Ino)
	}
	outside := where()
	for range 20 {
		var ports, inside string
		require.NoError(t, inNamespace(t.Context(), limit, func(n *namespace) {
			ports, inside = n.sysctl("ip_local_port_range"), where()
			n.onePort()
		}))
		assert.Equal(t, "32768 60999", ports)
		assert.NotEqual(t, outside, inside)
		assert.Equal(t, outside, where())
	}
}

// TestParseSegment: a segment that was sent is the one that is seen.
func TestParseSegment(t *testing.T) {
	require.NoError(t, inNamespace(t.Context(), limit, func(n *namespace) {
		wire := n.wire()
		sent := segment{from: 1, to: 65535, seq: 1 << 31, ack: 7, flags: flagACK | flagFIN, window: 9, scale: -1, payload: 3}
		wire.send(sent)
		assert.Equal(t, sent, wire.next("a segment", func(s segment) bool { return s.from == 1 }))
		assert.Zero(t, n.counter("InCsumErrors"))
	}))
}

// FuzzParseSegment: no packet is too short or too strange.
func FuzzParseSegment(f *testing.F) {
	header := make([]byte, ipHeaderLen+tcpHeaderLen+4)
	header[0], header[ipHeaderLen+12] = 0x45, 6<<4
	copy(header[ipHeaderLen+tcpHeaderLen:], []byte{1, 3, 3, 7})
	f.Add(header)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if s, ok := parseSegment(packet); ok && s.payload > len(packet) {
			t.Errorf("%d bytes in a packet of %d", s.payload, len(packet))
		}
	})
}

// TestWindowScale reads the option behind others, and stops at what is no option.
func TestWindowScale(t *testing.T) {
	for _, example := range []struct {
		options []byte
		want    int
	}{
		{[]byte{2, 4, 5, 180, 1, 3, 3, 7}, 7},
		{[]byte{3, 3}, -1},
		{[]byte{8, 0, 3, 3, 7}, -1},
		{[]byte{0, 3, 3, 7}, -1},
		{nil, -1},
	} {
		assert.Equal(t, example.want, windowScale(example.options), "%v", example.options)
	}
}

// TestParseRows reads what a kernel shows.
func TestParseRows(t *testing.T) {
	rows, err := parseRows("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1 ffff 100 0 0 10 0\n" +
		"   1: 0100007F:9C40 0100007F:1388 01 00000001:00000000 04:00000029 00000000     0        0 1235 2 ffff 21 4 30 10 -1\n")
	require.NoError(t, err)
	assert.Equal(t, []row{
		{local: 5000, state: unix.BPF_TCP_LISTEN},
		{local: 40000, remote: 5000, state: unix.BPF_TCP_ESTABLISHED, timer: 410 * time.Millisecond},
	}, rows)
	_, err = parseRows("title\n   0: nonsense\n")
	assert.Error(t, err)
}

// FuzzParseRows: no text is too strange.
func FuzzParseRows(f *testing.F) {
	f.Add("title\n   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = parseRows(text) })
}
