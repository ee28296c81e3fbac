#!/bin/sh
# redis.sh IP PORT: Redis without a file.
. "${0%/*}/start.sh"
exec redis-server --bind "$ip" --port "$port" --save '' --appendonly no --protected-mode no --dir "$dir"
