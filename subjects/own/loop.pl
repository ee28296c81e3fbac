#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# loop.pl IP PORT: a process for each connection, in a loop that goes on while accept gives a
# client. The handler of SIGCHLD interrupts accept, which gives none then: the first worker's end
# is the server's.
use strict;
use warnings;
use IO::Socket::IP;
use POSIX ':sys_wait_h';

$SIG{CHLD} = sub { 1 while waitpid(-1, WNOHANG) > 0 };
my $listener = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => $ARGV[1], Listen => 128, ReuseAddr => 1)
	or die "listen: $@\n";
while (my $client = $listener->accept) {
	my $worker = fork;
	if (defined $worker && $worker == 0) {
		close $listener;
		while (sysread $client, my $bytes, 4096) { syswrite $client, $bytes }
		exit;
	}
	close $client;
}
