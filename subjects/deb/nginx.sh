#!/bin/sh
# nginx.sh IP PORT: two worker processes, each an event loop; the log goes to stdout.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
daemon off;
pid $dir/pid;
error_log stderr;
worker_processes 2;
events { worker_connections 1024; }
http {
	access_log /dev/stdout;
	client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir;
	uwsgi_temp_path $dir; scgi_temp_path $dir;
	server { listen $host:$port; location / { return 200 "ok\n"; } }
}
CONF
exec nginx -c "$dir/conf"
