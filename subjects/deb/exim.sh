#!/bin/sh
# exim.sh IP PORT: Exim takes mail for nobody.
. "${0%/*}/start.sh"
mkdir "$dir/log"
chmod 777 "$dir" "$dir/log"
cat >"$dir/conf" <<CONF
primary_hostname = localhost
exim_user = nobody
exim_group = nogroup
spool_directory = $dir
log_file_path = $dir/log/%s
pid_file_path = $dir/pid
local_interfaces = <; [$ip]:$port
daemon_smtp_ports = $port
smtp_accept_max = 0
smtp_accept_max_nonmail = 100000
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
keep_environment =
begin acl
begin routers
begin transports
begin retry
CONF
exec exim4 -C "$dir/conf" -bdf
