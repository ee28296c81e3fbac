// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Auto is the word with which a user asks that the preset be found out: see [Recognise] and
// [Probes]. It is not a preset.
const Auto = "auto"

// Ability is something that a dialogue can do and that a check may need.
type Ability string

// The abilities. All but Pipelines and Bulk follow from the dialogue; those two are properties
// of the server, so that presets alone have them.
const (
	Answers       Ability = "answers"       // a round reads a reply
	Repeats       Ability = "repeats"       // there are as many rounds as wanted
	Distinguishes Ability = "distinguishes" // the replies to two rounds differ, as their numbers do
	Pipelines     Ability = "pipelines"     // rounds may be said before the replies to earlier ones are read
	Bulk          Ability = "bulk"          // what is sent comes back in as many bytes, and waits where they are not read
	ServerCloses  Ability = "server closes" // the server closes first, so that it has the TIME_WAIT
)

// Abilities are all of them.
var Abilities = []Ability{Answers, Repeats, Distinguishes, Pipelines, Bulk, ServerCloses}

// Abilities returns what follows from the dialogue. Distinguishes means that the number of the
// round is sent, and occurs in what is then read: that the server has it from there is not
// checked.
func (d Dialogue) Abilities() []Ability {
	var has []Ability
	ends := slices.ContainsFunc(d.all(), Step.ends)
	if slices.ContainsFunc(d.Round, func(s Step) bool { return !s.sends }) {
		has = append(has, Answers)
	}
	if len(d.Round) > 0 && !slices.ContainsFunc(d.Round, Step.ends) {
		has = append(has, Repeats)
	}
	sent := slices.IndexFunc(d.Round, func(s Step) bool { return s.sends && s.numbered() })
	if sent >= 0 && slices.ContainsFunc(d.Round[sent:], func(s Step) bool { return !s.sends && s.numbered() }) {
		has = append(has, Distinguishes)
	}
	if ends {
		has = append(has, ServerCloses)
	}
	return has
}

// Service is what a subject does with bytes, as a preset or a dialogue of the user's says.
type Service struct {
	Name      string // of the preset; "" for a dialogue of the user's
	Meaning   string // in a few words; "" for a dialogue of the user's
	Dialogue  Dialogue
	Abilities []Ability // in the order of [Abilities]
}

// Lacks returns the first of the wanted abilities that the service does not have, or "".
func (s Service) Lacks(wanted ...Ability) Ability {
	for _, ability := range wanted {
		if !slices.Contains(s.Abilities, ability) {
			return ability
		}
	}
	return ""
}

// String returns the name of the preset, or the dialogue.
func (s Service) String() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Dialogue.String()
}

// Resolve returns the preset of this name, or what the dialogue says. A file with a dialogue is
// read by the caller. [Auto] is not resolved here: what it is depends on the server.
func Resolve(written string) (Service, error) {
	word := strings.TrimSpace(written)
	presets := Presets()
	if i := slices.IndexFunc(presets, func(s Service) bool { return s.Name == word }); i >= 0 {
		return presets[i], nil
	}
	if word == Auto {
		return Service{}, fmt.Errorf("service %s: the server must be asked first: give a preset or a dialogue here", Auto)
	}
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
		var names []string
		for _, s := range presets {
			names = append(names, s.Name)
		}
		return Service{}, fmt.Errorf("service %q is not a preset: give %s, %s, or a dialogue such as '> \"PING\\r\\n\" < \"+PONG\\r\\n\"'",
			word, strings.Join(names, ", "), Auto)
	}
	d, err := Parse(written)
	if err != nil {
		return Service{}, err
	}
	return Service{Dialogue: d, Abilities: d.Abilities()}, nil
}

// Presets returns the services with names. A test holds the table in docs/dialogues.md true.
func Presets() []Service { return slices.Clone(presets()) }

// presets parses the dialogues when they are first asked for: each helper program of the rig is
// this binary, and starts without them.
var presets = sync.OnceValue(func() []Service {
	return []Service{
		preset("echo", "sends back what it gets",
			`> "message {n} of a client\n" < "message {n} of a client\n"`, Pipelines, Bulk),
		preset("upper", "sends back lines with a to z as A to Z",
			`> "message {n} of a client\n" < "MESSAGE {n} OF A CLIENT\n"`, Pipelines, Bulk),
		preset("none", "something else: only connections are looked at", ``),
		preset("http", "an HTTP server that closes after its reply, of any status",
			`> "GET / HTTP/1.0\r\n\r\n" < /HTTP\/1\.[01] [1-5][0-9][0-9]/ .. eof`),
		preset("http-keepalive", "an HTTP/1.1 server; the reply to HEAD has no body, so that it ends with its header",
			`> "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" < /HTTP\/1\.1 [2-5][0-9][0-9]/ .. "\r\n\r\n"`, Pipelines),
		preset("smtp", "a mail server (RFC 5321)",
			`hello < /(220-[^\n]*\n)*220[ \r][^\n]*\n/ round > "NOOP\r\n" < "250" .. "\n" bye > "QUIT\r\n" < "221" .. eof`),
		preset("ftp", "a file server (RFC 959), before any login",
			`hello < /(220-([^\n]*\n)+)?220[ \r][^\n]*\n/ round > "NOOP\r\n" < /(200|530) [^\n]*\n/ bye > "QUIT\r\n" < "221" .. eof`),
		preset("pop3", "a mailbox server (RFC 1939), before any login; it must know CAPA (RFC 2449)",
			`hello < "+OK" .. "\n" round > "CAPA\r\n" < "+OK" .. "\r\n.\r\n" bye > "QUIT\r\n" < "+OK" .. eof`, Pipelines),
		preset("imap", "a mailbox server (RFC 9051), before any login",
			`hello < /\* (OK|PREAUTH) [^\n]*\n/ round > "a{n} NOOP\r\n" < /(\* [^\n]*\n)*a{n} OK[^\n]*\n/ `+
				`bye > "z LOGOUT\r\n" < /(\* [^\n]*\n)*z OK[^\n]*\n/ eof`, Pipelines),
		preset("redis", "Redis or Valkey without a password",
			`round > "ECHO message{n}\r\n" < /\$[0-9]+\r\nmessage{n}\r\n/ bye > "QUIT\r\n" < "+OK\r\n" eof`, Pipelines),
		preset("memcached", "memcached, in its text protocol",
			`round > "version\r\n" < "VERSION " .. "\r\n" bye > "quit\r\n" < eof`, Pipelines),
		preset("ssh", "recognised only: the server's version (RFC 4253, 4.2)",
			`hello < /SSH-[0-9.]+-[^\n]+\n/`),
		preset("mysql", "recognised only: the first message of MySQL or MariaDB",
			`hello < 3 x"00 0a" .. x"00" 44 .. x"00"`),
		preset("postgres", "recognised only: the answer to the question for TLS",
			`hello > x"00000008 04d2162f" < /[SN]/`),
		preset("tls", "recognised only: the begin of the answer to a ClientHello",
			`hello > x"`+clientHello+`" < /[\x15\x16]\x03[\x00-\x04]/`),
		preset("line", "answers a line with a line",
			`> "message {n} of a client\n" < .. "\n"`),
	}
})

// clientHello is a TLS record that offers TLS 1.2 and 1.3 (RFC 8446, 4.1.2). Its random says
// who asks; its key is the public one of RFC 7748, 6.1.
const clientHello = "16030100ae010000aa0303666f726b7269672061736b73207768657468657220697420697320544c532e" +
	"0a000022130113021303c02bc02fc02cc030cca9cca8c009c013c00ac014009c009d002f00350100005f" +
	"000a00060004001d0017000b00020100000d001800160403050306030807080408050806040105010601" +
	"0201002b00050403040303003300260024001d00208520f0098930a754748b7ddcb43ef75a0dbf3a0d26" +
	"381af4eba4a98eaa9b4e6a"

// preset makes an entry of the table, whose dialogue the tests know to be right.
func preset(name, meaning, written string, more ...Ability) Service {
	s := Service{Name: name, Meaning: meaning}
	if written != "" {
		d, err := Parse(written)
		if err != nil {
			panic(fmt.Sprintf("preset %s: %v", name, err))
		}
		s.Dialogue = d
	}
	has := append(s.Dialogue.Abilities(), more...)
	s.Abilities = slices.DeleteFunc(slices.Clone(Abilities), func(a Ability) bool { return !slices.Contains(has, a) })
	return s
}
