#!/usr/bin/env python3
"""echo.py HOST PORT: an echo server of Python's socketserver, a fork per connection."""

import socket
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    max_children = 1000  # the default, 40, makes the 41st client wait for another's end


host, port = sys.argv[1], int(sys.argv[2])
if ":" in host:
    Server.address_family = socket.AF_INET6
with Server((host, port), Echo) as server:
    server.serve_forever()
