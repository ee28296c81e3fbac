// Package tcpclient is the reference client. It knows nothing of the rest of the module:
// it is told everything by flags, and reports by its exit status and its output.
//
// It has three modes. Interactive, the default, sends the lines of standard input and
// prints what comes back. Counting (-count) sends "data : 0", "data : 1", … at an
// interval. A load (any of the load flags) opens many connections, verifies every byte of
// every reply, and then leaves politely, at once, with a reset, never, or by SIGKILL.
//
// # Exit statuses
//
//	0  all went as asked
//	1  something failed; one line on standard error says what
//	2  the command line is wrong; one line on standard error names the remedy
//	3  interactive and counting: the server closed the connection first
//
// With -leave kill and no -processes the process ends by SIGKILL, after its report.
//
// # Lines of JSON
//
// With -json a load writes one JSON object a line on standard output, each with the field
// "event". A [Gathered] ("holding", "stalling") is written with or without -json, because
// it is there to be waited for; a [Lost] ("lost") and, always as the last line, the
// [Report] ("report") are written with -json only.
//
// # What is not checked
//
// With -leave close, reset, stall and kill, bytes that the server sends after the last
// reply are not read, so surplus bytes go unnoticed; half-close, the default, reads to the
// end of the stream and finds them. Replies are not verified once the client has left.
package tcpclient
