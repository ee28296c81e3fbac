#!/bin/sh
# stunnel.sh IP PORT: a thread for each connection; what is inside of TLS is cat.
. "${0%/*}/start.sh"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
	-keyout "$dir/pem" -out "$dir/crt" 2>"$dir/log"
cat "$dir/crt" >>"$dir/pem"
cat >"$dir/conf" <<CONF
foreground = yes
pid =
cert = $dir/pem
[cat]
accept = $ip:$port
exec = $(command -v cat)
CONF
exec stunnel4 "$dir/conf"
