#!/bin/sh
# dropbear.sh IP PORT: Dropbear in the foreground, with a host key of its own.
. "${0%/*}/start.sh"
dropbearkey -t ed25519 -f "$dir/key" >"$dir/log" 2>&1
exec dropbear -F -E -r "$dir/key" -P "$dir/pid" -p "$host:$port"
