#!/bin/sh
# xinetd.sh IP PORT: xinetd in the foreground, with one service: cat.
. "${0%/*}/start.sh"

# Without cps, xinetd turns a service off for 10 seconds after 50 connections in one second.
# instances and per_source are unlimited by default; a distribution's defaults section, which
# this file has none of, often sets them.
cat >"$dir/xinetd.conf" <<CONF
service echo-$port
{
	type        = UNLISTED
	socket_type = stream
	protocol    = tcp
	flags       = IPv$family
	bind        = $ip
	port        = $port
	wait        = no
	user        = $(id -un)
	server      = $(command -v cat)
	cps         = 100000 1
	instances   = UNLIMITED
	per_source  = UNLIMITED
}
CONF
exec "$(dirname "$0")/../../bin/subjects/unpacked/xinetd/usr/sbin/xinetd" -dontfork -f "$dir/xinetd.conf" -filelog "$dir/log" -pidfile "$dir/pid"
