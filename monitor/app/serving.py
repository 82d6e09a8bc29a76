"""The daemon behind its addresses, from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import uvicorn

from monitor.app._connections import Connections
from monitor.app.daemon import Daemon, StartFailed
from monitor.web import create_app, create_metrics_app


class _Server(uvicorn.Server):
    """A server whose signals are handled by the daemon, for both of its addresses."""

    def install_signal_handlers(self) -> None:
        """The daemon has its own."""


def _server(app: Any, address: str) -> _Server:
    host, _, port = address.rpartition(":")
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=int(port),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",  # nothing here speaks WebSocket, and its library is 3 MB
        server_header=False,
        proxy_headers=False,  # who asks is told by a token, and by nothing else
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,
        http=Connections,
    )
    return _Server(config)


async def serve(daemon: Daemon) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT); SIGHUP reloads.

    Raises:
        StartFailed: an address cannot be listened on.
    """
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    config = daemon.loaded.config
    servers = [_server(create_app(daemon), config.listen)]
    if config.metrics_listen:
        servers.append(_server(create_metrics_app(daemon), config.metrics_listen))
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    reloads: set[asyncio.Task[Any]] = set()

    def reload_soon() -> None:
        task = loop.create_task(asyncio.to_thread(daemon.reload))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload_soon)
    sockets = [_bound(server) for server in servers]
    tasks = [asyncio.create_task(server._serve([bound])) for server, bound in zip(servers, sockets, strict=True)]  # noqa: SLF001 - serve() would take the signals
    try:
        await asyncio.to_thread(daemon.start)
        await stopping.wait()
    finally:
        # New requests are refused first, then what is under way is finished, then the store is closed.
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(daemon.stop)


def _bound(server: _Server) -> Any:
    try:
        bound = server.config.bind_socket()
        # Of a socket that does not say that it is TCP's, asyncio does not: an answer's body would wait 40 ms for the
        # acknowledgement of its head. Connections inherit it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound
    except (SystemExit, OSError):
        address = f"{server.config.host}:{server.config.port}"
        raise StartFailed(f"listen: expected {address} to be free, something listens there already") from None
