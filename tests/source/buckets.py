"""A real S3 of our own: moto's server, with a bucket, and every request that it has seen."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.servers import Program, closed_port

KEY, SECRET = "AKIAWATCHWATCHWATCH0", "hunter2/hunter2+hunter2"


@dataclass
class Bucket:
    """The bucket `watch`; `storage` is the section of the configuration that reaches it."""

    program: Program

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.program.port}"

    @property
    def storage(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.url,
            "access_key": KEY,
            "secret_key": SECRET,
            "region": "us-east-1",
            "timeout": "5s",
        }

    def system(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.url, use_listings_cache=False, skip_instance_cache=True
        )

    def put(self, path: Path, key: str) -> None:
        self.system().pipe_file(f"watch/{key}", path.read_bytes())

    def asked(self) -> int:
        """Where the log of requests ends now."""
        return len(self._log())

    def got(self, since: int = 0) -> list[str]:
        """The keys whose content was fetched since then, once for each request."""
        return re.findall(r"GET /watch/([^? ]+) HTTP", self._log()[since:])

    def _log(self) -> str:
        return (self.program.folder / "log").read_text(errors="replace")


@contextmanager
def bucket() -> Iterator[Bucket]:
    with tempfile.TemporaryDirectory(prefix="moto-") as folder:
        port = closed_port()
        arguments = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]

        def ready() -> Any:
            with urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=1) as answer:
                return answer.status == 200

        found = Bucket(Program(arguments, Path(folder), port, ready))
        try:
            found.program.start()
            found.system().mkdir("watch")
            yield found
        finally:
            found.program.stop()
