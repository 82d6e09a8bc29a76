"""Real servers on real sockets: an HTTP server that behaves as a test scripts it, and the programs that are followed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Seen:
    """One request as it arrived. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    """Notes the request and lets the script's next behaviour answer; the last behaviour stays."""

    server: Server

    def _serve(self) -> None:
        promised = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(promised)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.close_connection = True
        if len(body) < promised:  # its sender was killed in the middle of it: nobody has been told anything
            return
        self.server.next_behaviour(Seen(self.command, self.path, headers, body))(self)

    do_GET = do_POST = do_PUT = do_HEAD = do_CONNECT = _serve

    def write(self, data: bytes) -> bool:
        """Send these bytes now; False once the client is gone."""
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:
            return False
        return True

    def log_message(self, *_args: object) -> None:
        pass


Behaviour = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """Serves on a free loopback port; `seen` holds the requests so far, `stopping` is set at the end."""

    daemon_threads = True

    def __init__(self, behaviours: tuple[Behaviour, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = behaviours
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self.scheme = "http"
        self._lock = threading.Lock()

    def next_behaviour(self, seen: Seen) -> Behaviour:
        with self._lock:
            self.seen.append(seen)
            return self.behaviours[min(len(self.seen), len(self.behaviours)) - 1]

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def handle_error(self, *_args: object) -> None:
        """Clients that go away or refuse our certificate are part of the script."""


@contextmanager
def serving(*behaviours: Behaviour, tls: Certificate | None = None) -> Iterator[Server]:
    """A running server that answers its requests with these behaviours, in this order."""
    server = Server(behaviours)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.path)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def closed_port() -> int:
    """A port on which, a moment ago, nobody listened."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- behaviours -------------------------------------------------------------------------------------------------------


def answer(status: int = 200, body: bytes | str = b"ok", **headers: str) -> Behaviour:
    """A whole answer; `retry_after="3"` is sent as the header `Retry-After: 3`."""
    data = body.encode() if isinstance(body, str) else body

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"content_type": "text/plain", "content_length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.write(data)

    return behave


def answer_json(payload: Any, status: int = 200) -> Behaviour:
    return answer(status, json.dumps(payload), content_type="application/json")


def redirect(to: str, status: int = 302) -> Behaviour:
    return answer(status, b"", location=to)


def hang(handler: Handler) -> None:
    """Never answers."""
    handler.server.stopping.wait()


def drip_headers(handler: Handler) -> None:
    """One byte of an endless header a tenth of a second, so that no single read ever times out."""
    handler.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.server.stopping.wait(0.1) and handler.write(b"."):
        pass


def drip_body(handler: Handler) -> None:
    """A status at once and then one byte of the body a tenth of a second; without a length, so it never ends."""
    handler.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not handler.server.stopping.wait(0.1) and handler.write(b"."):
        pass


def garbage(handler: Handler) -> None:
    """Bytes that are no HTTP."""
    handler.write(b"\x16\x03\x01 SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe\r\n\r\n")


def cut(handler: Handler) -> None:
    """The connection is reset without a word."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.rfile.close()  # it holds the descriptor open
    handler.connection.close()


def short(handler: Handler) -> None:
    """Promises a hundred bytes, sends ten and closes."""
    handler.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")


def huge(handler: Handler) -> None:
    """A body that goes on as long as somebody reads it."""
    handler.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not handler.server.stopping.is_set() and handler.write(b"x" * 65536):
        pass


# --- TLS --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key, in one file; it is its own authority."""

    path: Path
    expires_at: float


def certificate(folder: Path, *, valid_days: int = 30) -> Certificate:
    """A fresh certificate; `valid_days` below 0 makes an expired one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=valid_days)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    alternative: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1"))]
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=60))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return Certificate(path, ends.timestamp())


# --- programs ---------------------------------------------------------------------------------------------------------


def eventually(condition: Callable[[], Any], *, within: float = 20.0) -> Any:
    """What a condition says once it is true; what it raises meanwhile is waited out."""
    ends = time.monotonic() + within
    while True:
        last: object = "nothing"
        try:
            if found := condition():
                return found
        except Exception as error:
            last = error
        assert time.monotonic() < ends, f"expected it within {within:g} s, got {last!r}"
        time.sleep(0.01)


@dataclass
class Program:
    """A server that is a program of its own, in a process group of its own; it keeps its port and its files over restarts."""

    arguments: Sequence[str]
    folder: Path
    port: int
    ready: Callable[[], Any]
    user: str | None = None
    gentle: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, user=self.user, group=self.user, extra_groups=[] if self.user else None,
            )  # fmt: skip
        try:
            eventually(self._is_ready)
        except AssertionError as error:
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{self.arguments[0]}: {error}\n{said}") from error

    def _is_ready(self) -> Any:
        assert self.process is not None
        assert self.process.poll() is None, "it has ended"
        return self.ready()

    def send(self, sign: int) -> None:
        """A signal for the whole group."""
        assert self.process is not None
        os.killpg(self.process.pid, sign)

    def kill(self) -> None:
        """Without a word, as a machine that loses its power."""
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            self.send(signal.SIGCONT)
            self.send(self.gentle)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


def _found(name: str, *folders: str) -> str:
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    if path is None:
        pytest.skip(f"expected the program {name}, which is absent")
    return path


def _answers(port: int, say: bytes = b"") -> bytes:
    with socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.settimeout(1)
        if not say:
            return b"connected"
        connection.sendall(say)
        return connection.recv(100)


@contextmanager
def redis_server(*settings: str) -> Iterator[Program]:
    """A running Redis that writes down everything before it answers."""
    found, port = _found("redis-server"), closed_port()
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        arguments = [
            found, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", *settings,
        ]  # fmt: skip
        server = Program(arguments, Path(folder), port, lambda: not _answers(port, b"PING\r\n").startswith(b"-LOADING"))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@dataclass
class PostgreSQL:
    """A running PostgreSQL with the user `watch`, whose password is `hunter2`, and the database `log`, which is its own."""

    program: Program

    def url(self, *, user: str = "watch", password: str = "hunter2", database: str = "log") -> str:
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.program.port}/{database}"


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A new PostgreSQL, which asks for passwords. It refuses to run as root: then it runs as the user postgres."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    initdb, postgres = _found("initdb", *folders), _found("postgres", *folders)
    port, user = closed_port(), "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        if user is not None:
            shutil.chown(folder, user, user)
        secret = Path(folder) / "password"
        secret.write_text("hunter2\n")
        secret.chmod(0o644)
        data = f"{folder}/data"
        subprocess.run(
            [initdb, "-D", data, "-U", "watch", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"],
            cwd=folder, check=True, capture_output=True, user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip
        arguments = [postgres, "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder]
        found = PostgreSQL(
            Program(arguments, Path(folder), port, lambda: _connects(port), user=user, gentle=signal.SIGINT)
        )
        try:
            found.program.start()
            with _admin(port) as connection:
                connection.execute("CREATE DATABASE log")
            yield found
        finally:
            found.program.stop()


def _admin(port: int) -> Any:
    import psycopg

    where = f"host=127.0.0.1 port={port} user=watch password=hunter2 dbname=postgres"
    return psycopg.connect(where, autocommit=True, connect_timeout=2)


def _connects(port: int) -> bool:
    _admin(port).close()
    return True


_BROKER = """
import sys, time
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
print(next(iter(cluster.list_topics(timeout=10).brokers.values())).port, flush=True)
sys.stdin.read()
"""


@dataclass
class Broker:
    """librdkafka's mock cluster, in a process of its own: in memory, gone with it, and with four partitions a topic."""

    process: subprocess.Popen[str]
    port: int

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It holds its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def kafka_broker() -> Iterator[Broker]:
    process = subprocess.Popen(
        [sys.executable, "-c", _BROKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield Broker(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
