"""What the receiver is compared with: HTTP servers that keep nothing.

    python -m bench.bare_http aiohttp|null

They listen on a free port, which is the first line of output, until they are killed. `aiohttp` reads the body and
answers 200. `null` reads no HTTP at all and answers each 2 KB with 200: it shows how much the load generator can send.
"""

import asyncio
import gc
import select
import socket
import sys
from typing import Final

from aiohttp import web

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LEAST: Final = 2048


async def _aiohttp() -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response()

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gc.collect()
    gc.freeze()
    _tell(runner.addresses[0][1])
    await asyncio.Event().wait()


def _null() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server, select.epoll() as epoll:
        _tell(server.getsockname()[1])
        epoll.register(server.fileno(), select.EPOLLIN)
        clients: dict[int, socket.socket] = {}
        got: dict[int, int] = {}
        while True:
            for number, _ in epoll.poll():
                if number == server.fileno():
                    client, _ = server.accept()
                    clients[client.fileno()] = client
                    epoll.register(client.fileno(), select.EPOLLIN)
                elif data := clients[number].recv(65_536):
                    got[number] = got.get(number, 0) + len(data)
                    if got[number] > _LEAST:
                        got[number] = 0
                        clients[number].sendall(_ANSWER)
                else:
                    epoll.unregister(number)
                    clients.pop(number).close()


def _tell(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "null":
        _null()
    else:
        asyncio.run(_aiohttp())
