#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tcpserver.py CLASS IP PORT [once]: a server of socketserver with its defaults; lines, or one, in capitals."""
import socket
import socketserver
import sys


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
            if sys.argv[4:]:
                return


Server = getattr(socketserver, sys.argv[1])
if ":" in sys.argv[2]:
    Server.address_family = socket.AF_INET6
with Server((sys.argv[2], int(sys.argv[3])), Upper) as server:
    server.serve_forever()
