#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""asyncio-echo.py IP PORT: an event loop."""
import asyncio
import sys


async def serve(reader, writer):
    try:
        while received := await reader.read(65536):
            writer.write(received)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
