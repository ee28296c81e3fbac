#!/bin/sh
# mini-httpd.sh IP PORT: a process for each request.
. "${0%/*}/start.sh"
echo ok >"$dir/index.html"
exec mini_httpd -D -h "$ip" -p "$port" -d "$dir" -u "$(id -un)" -i "$dir/pid" -l "$dir/log"
