"""The example is no installed package: its folder is put on the path, as the demo does for its processes."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


@contextmanager
def _serve(app: Starlette) -> Iterator[str]:
    """The application on a real socket, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="session")
def serve() -> Callable[[Starlette], object]:
    return _serve
