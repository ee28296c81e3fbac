#!/bin/sh
# hitch.sh IP PORT: ends TLS in two processes, each an event loop.
. "${0%/*}/start.sh"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
	-keyout "$dir/pem" -out "$dir/crt" 2>"$dir/log"
cat "$dir/crt" >>"$dir/pem"
exec hitch --user=nobody --group=nogroup --workers=2 --frontend="[$ip]:$port" --backend="[127.0.0.1]:1" "$dir/pem"
