#!/bin/sh
# dovecot.sh IP PORT: Dovecot's IMAP before any login.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
base_dir = $dir/run
log_path = /dev/stderr
protocols = imap
ssl = no
listen = $ip
default_client_limit = 2000
service imap-login {
  inet_listener imap {
    port = $port
  }
  inet_listener imaps {
    port = 0
  }
  process_limit = 1000
}
CONF
exec dovecot -F -c "$dir/conf"
