#!/bin/sh
# varnish.sh IP PORT: Varnish without a backend.
. "${0%/*}/start.sh"
exec varnishd -F -a "$host:$port" -b none -n "$dir/work" -s malloc,16m
