#!/usr/bin/perl
# echo.pl HOST PORT: an echo server, a fork per connection. The reaper, the loop around accept
# and what happens after a fork are those of perlipc(1), "Internet TCP Clients and Servers".
use strict;
use warnings;
use Errno;
use IO::Socket::IP;
use POSIX ":sys_wait_h";
use Socket;

my ($host, $port) = @ARGV;
my $server = IO::Socket::IP->new(
    LocalHost => $host,
    LocalPort => $port,
    Type      => SOCK_STREAM,
    Listen    => SOMAXCONN,
    ReuseAddr => 1,
) or die "listen on $host port $port: $@\n";

sub REAPER {
    local $!;    # don't let waitpid() overwrite current error
    while ((my $pid = waitpid(-1, WNOHANG)) > 0 && WIFEXITED($?)) { }
    $SIG{CHLD} = \&REAPER;    # loathe SysV
}
$SIG{CHLD} = \&REAPER;

while (1) {
    my $client = $server->accept || do {
        next if $!{EINTR};    # a signal, such as SIGCHLD
        die "accept: $!\n";
    };
    spawn($client, \&echo);
    close $client;
}

sub spawn {
    my ($client, $code) = @_;
    my $pid = fork;
    if (!defined $pid) {
        warn "fork: $!\n";
        return;
    }
    return if $pid;           # I'm the parent
    exit $code->($client);
}

sub echo {
    my ($client) = @_;
    $client->autoflush;
    while (1) {
        my $n = sysread $client, my $data, 65536;
        next if !defined $n && $!{EINTR};
        return !defined $n if !$n;
        print $client $data or return 1;
    }
}
