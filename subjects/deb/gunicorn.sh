#!/bin/sh
# gunicorn.sh IP PORT: Gunicorn with two pre-forked processes, one client at a time each.
. "${0%/*}/start.sh"
cp "${0%/*}/wsgi.py" "$dir"
exec gunicorn --bind "$host:$port" --workers 2 --worker-tmp-dir "$dir" --chdir "$dir" wsgi
