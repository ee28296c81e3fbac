// SPDX-License-Identifier: Apache-2.0

// Package dialogue says what a client sends to a server under test and what must come back,
// in the server's own protocol.
//
// [Parse] reads a dialogue, such as
//
//	hello < "220 " .. "\r\n"  round > "NOOP\r\n" < "250 " .. "\r\n"  bye > "QUIT\r\n" < "221 " .. eof
//
// and [Resolve] reads a dialogue or the name of a preset. A [Matcher] compares one reply with
// what comes; how TCP cuts the stream changes no result. A [Conversation] says a dialogue on
// one connection. [Recognise] and [Probes] find the preset of an unknown server.
//
// Bytes are sent exactly as written, and no newline is added. The package checks what comes
// back, not how fast, and knows no protocol beyond its presets. It opens no connections.
package dialogue
