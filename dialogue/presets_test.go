// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func resolve(t testing.TB, name string) Service {
	t.Helper()
	s, err := Resolve(name)
	require.NoError(t, err)
	return s
}

func TestRecordedServers(t *testing.T) {
	for _, r := range recordings {
		t.Run(r.preset+" "+r.server, func(t *testing.T) {
			assert.Equal(t, r.likely, Recognise([]byte(r.greeting)))
			s := resolve(t, r.preset)
			for _, size := range []int{1, 7, 1 << 20} {
				c := converse(t, s.Dialogue, played(r, size))
				require.NoError(t, c.Whole(deadline(t), 2))
				assert.Empty(t, c.unread)
				assert.Equal(t, r.closes, c.over, "the dialogue knows who closes")
				assert.Equal(t, r.closes, s.Lacks(ServerCloses) == "")
			}
		})
	}
}

func TestForeignServers(t *testing.T) {
	for _, f := range foreign {
		t.Run(f.probe+" "+f.server, func(t *testing.T) {
			c := converse(t, resolve(t, f.probe).Dialogue, func(conn net.Conn) error {
				_, err := conn.Write([]byte(f.reply))
				return errors.Join(err, conn.Close())
			})
			c.stream = deaf{c.stream}
			assert.ErrorAs(t, c.Whole(deadline(t), 1), new(*ReplyError))
		})
	}
}

// deaf is a stream whose other side reads nothing.
type deaf struct{ Stream }

func (deaf) Write(_ context.Context, b []byte) (int, error) { return len(b), nil }

func TestRecogniseOrdersByWords(t *testing.T) {
	for greeting, want := range map[string][]string{
		"":                                     nil,
		"hello\r\n":                            nil,
		"220":                                  nil,
		"220 hello\r\n":                        {"smtp", "ftp"},
		"220-a\r\n220-b\r\n":                   nil,
		"220-a\r\nb\r\n220 c\r\n":              {"ftp"},
		"220 ProFTPD Server ready.\r\n":        {"ftp", "smtp"},
		"220 File server\r\n":                  {"ftp", "smtp"},
		"220 ftp.example ESMTP\r\n":            {"smtp", "ftp"},
		"220\r\n":                              {"smtp", "ftp"},
		"* PREAUTH hello\r\n":                  {"imap"},
		"* BYE no\r\n":                         nil,
		"SSH-1.99-x\n":                         {"ssh"},
		"SSH-2.0-dropbear\r\n\x00\x00\x01\xd4": {"ssh"},
	} {
		assert.Equal(t, want, Recognise([]byte(greeting)), "%q", greeting)
	}
}

func TestProbesAreHarmless(t *testing.T) {
	for _, name := range Probes {
		s := resolve(t, name)
		assert.Empty(t, s.Lacks(Answers), name)
		assert.Empty(t, s.Dialogue.Hello, name)
		for _, step := range s.Dialogue.Round {
			assert.NotContains(t, string(step.Bytes(1)), "Host:", "Redis takes it for an attack")
		}
	}
}

// TestProbesFind asks servers as a user of [Auto] does. A reset would be an error of the
// server.
func TestProbesFind(t *testing.T) {
	answer := func(request, reply string) func(net.Conn) error {
		return func(conn net.Conn) error {
			asked := make([]byte, 0, 100)
			for !strings.HasSuffix(string(asked), "\n") { // one write of a probe is one read here or several
				n, err := conn.Read(asked[len(asked):cap(asked)])
				if asked = asked[:len(asked)+n]; err != nil {
					return err
				}
			}
			if strings.HasPrefix(string(asked), request) {
				if _, err := conn.Write([]byte(reply)); err != nil {
					return err
				}
			}
			err := conn.(*net.TCPConn).CloseWrite()
			_, readErr := io.Copy(io.Discard, conn)
			return errors.Join(err, readErr)
		}
	}
	upper := func(conn net.Conn) error {
		lines := bufio.NewReader(conn)
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				return conn.Close()
			} else if err != nil {
				return err
			}
			if _, err := conn.Write([]byte(strings.ToUpper(line))); err != nil {
				return err
			}
		}
	}
	memcached := func(conn net.Conn) error {
		lines := bufio.NewReader(conn)
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF || line == "quit\r\n" {
				return conn.Close()
			} else if err != nil {
				return err
			}
			reply := "ERROR\r\n"
			if line == "version\r\n" {
				reply = "VERSION 1.6.18\r\n"
			}
			if _, err := io.WriteString(conn, reply); err != nil {
				return err
			}
		}
	}
	for _, c := range []struct {
		preset string
		server func(net.Conn) error
	}{
		{"echo", echo}, {"upper", upper},
		{"http", answer("GET / HTTP/1.0\r\n", "HTTP/1.0 404 Not Found\r\n\r\n")}, {"memcached", memcached},
		{"none", answer("GET", "no\n")}, {"none", answer("", "")}, {"none", answer("message", "message 1 of a client\n")},
	} {
		found := "none"
		for _, name := range Probes {
			conversation := NewConversation(resolve(t, name).Dialogue, OverNet(loopback(t, c.server)), 1)
			err := conversation.Whole(deadline(t), 2)
			_, finishErr := conversation.Finish(deadline(t))
			require.NoError(t, finishErr)
			if err == nil {
				found = name
				break
			}
		}
		assert.Equal(t, c.preset, found)
	}
}

func TestAbilities(t *testing.T) {
	for written, want := range map[string][]Ability{
		`> "a" < "b"`:                       {Answers, Repeats},
		`> "a{n}" < "b"`:                    {Answers, Repeats},
		`> "a" < "b{n}"`:                    {Answers, Repeats},
		`> "a{n}" < /b{n}/`:                 {Answers, Repeats, Distinguishes},
		`round < "{n}" > "{n}"`:             {Answers, Repeats},
		`> "a{n}" < "{n}" eof`:              {Answers, Distinguishes, ServerCloses},
		`> "a"`:                             {Repeats},
		`< "a" .. "\n"`:                     nil,
		`< "a" .. eof`:                      {ServerCloses},
		`round > "a" < "b" bye > "c" < eof`: {Answers, Repeats, ServerCloses},
	} {
		assert.Equal(t, want, mustParse(t, written).Abilities(), written)
	}
	for _, s := range presets() {
		for _, ability := range s.Dialogue.Abilities() {
			assert.Empty(t, s.Lacks(ability), s.Name)
		}
		if s.Lacks(Pipelines) == "" {
			assert.Empty(t, s.Lacks(Answers, Repeats), s.Name)
		}
	}
	assert.Equal(t, Distinguishes, resolve(t, "smtp").Lacks(Answers, Distinguishes, Bulk))
}

func TestResolve(t *testing.T) {
	assert.Equal(t, "echo", resolve(t, " echo\n").String())
	assert.Equal(t, `round > "a"`, resolve(t, `> "a" # x`).String())
	assert.Equal(t, []Ability{Repeats}, resolve(t, `> "a"`).Abilities)
	_, err := Resolve("htp")
	assert.EqualError(t, err, `service "htp" is not a preset: give echo, upper, none, http, http-keepalive, smtp, ftp, pop3, imap, redis, memcached, `+
		`ssh, mysql, postgres, tls, line, auto, or a dialogue such as '> "PING\r\n" < "+PONG\r\n"'`)
	_, err = Resolve("auto")
	assert.ErrorContains(t, err, "the server must be asked first")
	_, err = Resolve("> a")
	assert.True(t, errors.As(err, new(*SyntaxError)))
	_, err = Resolve(" ")
	assert.ErrorContains(t, err, "the dialogue is empty")
}

// TestTLS says the ClientHello to a real server of TLS 1.2 and of TLS 1.3, and to one that
// refuses both.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for name, config := range map[string]*tls.Config{
		"1.2": {MaxVersion: tls.VersionTLS12}, "1.3": {MinVersion: tls.VersionTLS13}, "1.0": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
	} {
		config.Certificates = []tls.Certificate{certificate}
		conn := loopback(t, func(conn net.Conn) error {
			if err := tls.Server(conn, config).Handshake(); err == nil {
				return errors.New("a ClientHello alone is no handshake")
			}
			return conn.Close()
		})
		c := NewConversation(resolve(t, "tls").Dialogue, OverNet(conn), 1)
		require.NoError(t, c.Whole(deadline(t), 1), name)
		_, err := c.Finish(deadline(t))
		require.NoError(t, err, name)
	}
}
