"""What a client may take of the app's memory, time and network."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one client; the defaults suit an app with a daemon beside it.

    Attributes:
        queue_records: records that wait or are under way; one more is dropped.
        queue_bytes: bytes of JSON that wait or are under way; what does not fit is dropped.
        record_bytes: a longer record is dropped.
        batch_records: so many records in one request at most.
        batch_bytes: so many bytes of JSON in one request at most, if one record is not longer by itself.
        delay_seconds: a record waits so long for others to share its request.
        timeout_seconds: the longest silence of the daemon before a request is given up, and sent again.
        longest_pause_seconds: pauses between attempts double up to this.
        exit_seconds: how long the end of the process waits for what is still queued.
        gzip_above_bytes: longer bodies are compressed. None: above 16 KiB, and never to a daemon on this machine.

    >>> Limits(queue_records=100).checked().queue_records
    100
    """

    queue_records: int = 20_000
    queue_bytes: int = 16 * 1024 * 1024
    record_bytes: int = 256 * 1024
    batch_records: int = 500
    batch_bytes: int = 512 * 1024
    delay_seconds: float = 1.0
    timeout_seconds: float = 10.0
    longest_pause_seconds: float = 30.0
    exit_seconds: float = 2.0
    gzip_above_bytes: int | None = None

    def checked(self) -> Limits:
        """These limits.

        Raises:
            ValueError: one is no positive number.
        """
        for name, value in self._asdict().items():
            least = 0 if name in ("delay_seconds", "exit_seconds", "gzip_above_bytes") else 1e-9
            if not (name == "gzip_above_bytes" and value is None) and not least <= value < float("inf"):
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")
        return self
