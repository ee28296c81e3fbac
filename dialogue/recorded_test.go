// SPDX-License-Identifier: Apache-2.0

package dialogue

// recording is what a real server and a client said on a loopback connection, round by round.
// Names of hosts were replaced, and the list of capabilities in one greeting was shortened.
type recording struct {
	preset, server string
	greeting       string
	exchanges      []exchange
	closes         bool // the server closed after the last exchange
	likely         []string
}

// exchange is what the client sent and what came back.
type exchange struct{ sent, reply string }

const (
	getRequest  = "GET / HTTP/1.0\r\n\r\n"
	headRequest = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

var recordings = []recording{
	{
		preset: "redis", server: "redis 7.0.15", closes: true,
		exchanges: []exchange{{"ECHO message1\r\n", "$8\r\nmessage1\r\n"}, {"ECHO message2\r\n", "$8\r\nmessage2\r\n"}, {"QUIT\r\n", "+OK\r\n"}},
	}, {
		preset: "memcached", server: "memcached 1.6.18", closes: true,
		exchanges: []exchange{{"version\r\n", "VERSION 1.6.18\r\n"}, {"version\r\n", "VERSION 1.6.18\r\n"}, {"quit\r\n", ""}},
	}, {
		preset: "http", server: "nginx 1.22.1", closes: true,
		exchanges: []exchange{{getRequest, "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 21:17:01 GMT\r\n" +
			"Content-Type: text/html\r\nContent-Length: 6\r\nLast-Modified: Sat, 28 Nov 2026 21:14:00 GMT\r\n" +
			"Connection: close\r\nETag: \"6b0b4418-6\"\r\nAccept-Ranges: bytes\r\n\r\nhello\n"}},
	}, {
		preset: "http", server: "Python 3.11.7", closes: true,
		exchanges: []exchange{{getRequest, "HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.7\r\nDate: Sat, 28 Nov 2026 21:17:01 GMT\r\n" +
			"Content-type: text/html\r\nContent-Length: 6\r\nLast-Modified: Sat, 28 Nov 2026 21:14:00 GMT\r\n\r\nhello\n"}},
	}, {
		preset: "http-keepalive", server: "Apache 2.4, a page that is not there",
		exchanges: repeat(2, exchange{headRequest, "HTTP/1.1 404 Not Found\r\nDate: Sat, 28 Nov 2026 21:16:59 GMT\r\n" +
			"Server: Apache/2.4.71 (Debian)\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"}),
	}, {
		preset: "http-keepalive", server: "lighttpd 1.4.69, a directory that it does not list",
		exchanges: repeat(2, exchange{headRequest, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 341\r\n" +
			"Date: Sat, 28 Nov 2026 21:17:00 GMT\r\nServer: lighttpd/1.4.69\r\n\r\n"}),
	}, {
		preset: "ssh", server: "OpenSSH 9.2", greeting: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n", likely: []string{"ssh"},
	}, {
		preset: "ftp", server: "vsftpd 3.0.3", closes: true, likely: []string{"ftp", "smtp"}, greeting: "220 (vsFTPd 3.0.3)\r\n",
		exchanges: []exchange{{"NOOP\r\n", "530 Please login with USER and PASS.\r\n"}, {"NOOP\r\n", "530 Please login with USER and PASS.\r\n"},
			{"QUIT\r\n", "221 Goodbye.\r\n"}},
	}, {
		preset: "ftp", server: "Pure-FTPd 1.0.50", closes: true, likely: []string{"ftp", "smtp"},
		greeting: "220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n220-You are user number 1 of 50 allowed.\r\n" +
			"220-Local time is now 21:17. Server port: 7017.\r\n220-This is a private system - No anonymous login\r\n" +
			"220-IPv6 connections are also welcome on this server.\r\n220 You will be disconnected after 15 minutes of inactivity.\r\n",
		exchanges: []exchange{{"NOOP\r\n", "200 Zzz...\r\n"}, {"NOOP\r\n", "200 Zzz...\r\n"},
			{"QUIT\r\n", "221-Goodbye. You uploaded 0 and downloaded 0 kbytes.\r\n221 Logout.\r\n"}},
	}, {
		preset: "smtp", server: "Exim 4.96", closes: true, likely: []string{"smtp", "ftp"},
		greeting:  "220 mail.example ESMTP Exim 4.96 Sat, 28 Nov 2026 21:14:14 +0000\r\n",
		exchanges: []exchange{{"NOOP\r\n", "250 OK\r\n"}, {"NOOP\r\n", "250 OK\r\n"}, {"QUIT\r\n", "221 mail.example closing connection\r\n"}},
	}, {
		preset: "smtp", server: "Postfix 3.7.11, smtp-sink", closes: true, likely: []string{"smtp", "ftp"}, greeting: "220 smtp-sink ESMTP\r\n",
		exchanges: []exchange{{"NOOP\r\n", "250 2.0.0 Ok\r\n"}, {"NOOP\r\n", "250 2.0.0 Ok\r\n"}, {"QUIT\r\n", "221 Bye\r\n"}},
	}, {
		preset: "pop3", server: "Dovecot 2.3", closes: true, likely: []string{"pop3"}, greeting: "+OK Dovecot (Debian) ready.\r\n",
		exchanges: append(repeat(2, exchange{"CAPA\r\n", "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nUSER\r\nSASL PLAIN\r\n.\r\n"}),
			exchange{"QUIT\r\n", "+OK Logging out\r\n"}),
	}, {
		preset: "imap", server: "Dovecot 2.3", closes: true, likely: []string{"imap"},
		greeting:  "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot (Debian) ready.\r\n",
		exchanges: []exchange{{"a1 NOOP\r\n", "a1 OK NOOP completed.\r\n"}, {"a2 NOOP\r\n", "a2 OK NOOP completed.\r\n"}, {"z LOGOUT\r\n", "* BYE Logging out\r\nz OK Logout completed.\r\n"}},
	}, {
		preset: "imap", server: "Dovecot 2.3, a moment after its start", closes: true, likely: []string{"imap"},
		greeting: "* OK Waiting for authentication process to respond..\r\n",
		exchanges: []exchange{{"a1 NOOP\r\n", "* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] Dovecot (Debian) ready.\r\na1 OK NOOP completed.\r\n"},
			{"a2 NOOP\r\n", "a2 OK NOOP completed.\r\n"}, {"z LOGOUT\r\n", "* BYE Logging out\r\nz OK Logout completed.\r\n"}},
	}, {
		preset: "mysql", server: "MariaDB 10.11.19", likely: []string{"mysql"},
		greeting: "d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x03\x00\x00\x00?^=W|+\\p\x00\xfe\xf7\b\x02\x00\xff\x81\x15" +
			"\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00?*Q;oC?OR-'{\x00mysql_native_password\x00",
	}, {
		preset: "postgres", server: "PostgreSQL 15.18", exchanges: []exchange{{"\x00\x00\x00\x08\x04\xd2\x16/", "N"}},
	},
}

// foreign are what probes get from servers of other kinds, shortened.
var foreign = []struct{ probe, server, reply string }{
	{"http", "redis 7.0.15", "-ERR wrong number of arguments for 'get' command\r\n"},
	{"http", "memcached 1.6.18", ""},
	{"http", "OpenSSH 9.2", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\nInvalid SSH identification string.\r\n"},
	{"redis", "nginx 1.22.1", "HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\n\r\n"},
	{"redis", "memcached 1.6.18", "ERROR\r\n"},
	{"redis", "a server of echo", "ECHO message1\r\n"},
	{"memcached", "a server of echo", "version\r\n"},
	{"memcached", "redis 7.0.15", "-ERR unknown command 'version', with args beginning with: \r\n"},
	{"memcached", "beanstalkd 1.12", "UNKNOWN_COMMAND\r\n"},
	{"http", "a server of echo", getRequest},
	{"upper", "a server of echo", "message 1 of a client\n"},
	{"echo", "a server of upper", "MESSAGE 1 OF A CLIENT\n"},
	{"echo", "redis 7.0.15", "-ERR unknown command 'message', with args beginning with: '1' 'of' 'a' 'client' \r\n"},
	{"smtp", "Pure-FTPd 1.0.50", "220 Pure-FTPd\r\n200 Zzz...\r\n"},
	{"smtp", "vsftpd 3.0.3", "220 (vsFTPd 3.0.3)\r\n530 Please login with USER and PASS.\r\n"},
	{"ftp", "Exim 4.96", "220 mail.example ESMTP Exim 4.96\r\n250 OK\r\n"},
	{"smtp", "Exim 4.96, after ten rounds", "220 mail.example ESMTP Exim 4.96\r\n554 Too many nonmail commands\r\n"},
}

func repeat(n int, e exchange) (es []exchange) {
	for range n {
		es = append(es, e)
	}
	return es
}
