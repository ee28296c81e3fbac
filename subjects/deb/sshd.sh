#!/bin/sh
# sshd.sh IP PORT: OpenSSH's sshd in the foreground, with a host key of its own.
. "${0%/*}/start.sh"
sshd=$(command -v sshd) # sshd executes itself and insists on its absolute path

ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
# MaxStartups is the number of connections that may be unauthenticated at a time. By default,
# sshd drops some from the 11th, and all from the 101st.
cat >"$dir/sshd_config" <<CONF
ListenAddress $host:$port
HostKey $dir/key
PidFile none
MaxStartups 10000
CONF
# Since 9.8, sshd refuses an address for a while after clients that left without authentication.
if "$sshd" -t -f "$dir/sshd_config" -o PerSourcePenalties=no 2>"$dir/log"; then
	echo 'PerSourcePenalties no' >>"$dir/sshd_config"
fi
if [ "$(id -u)" = 0 ]; then
	mkdir -p -m 755 /run/sshd # compiled in; the system's own start of sshd makes it, too
fi
exec "$sshd" -D -e -f "$dir/sshd_config"
