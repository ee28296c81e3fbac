#!/bin/sh
# haproxy.sh IP PORT: HAProxy answers itself.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
global
	maxconn 2000
defaults
	mode http
	timeout client 1m
	timeout connect 1s
	timeout server 1m
frontend test
	bind $ip:$port
	http-request return status 200 content-type text/plain string ok
CONF
exec haproxy -db -f "$dir/conf"
