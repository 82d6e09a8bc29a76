"""What is configured of librdkafka: its own settings, ours below them, and the secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monitor.options import Secret
from monitor.source import SourceError

Setting = str | int | float | bool
_OWN = {
    "bootstrap.servers": "bootstrap", "metadata.broker.list": "bootstrap", "group.id": "group",
    "security.protocol": "security", "sasl.username": "username", "sasl.password": "password",
    "ssl.key.password": "key_password", "auto.offset.reset": "start",
}  # fmt: skip
_FIXED = ("enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "enable.partition.eof")
_DEFAULTS = {
    "client.id": "anchorwatch",
    # What is fetched ahead is memory of the daemon; librdkafka's own defaults are 64 and 50 MB.
    "queued.max.messages.kbytes": "8192",
    "fetch.max.bytes": "8388608",
    "log_level": "0",  # it writes past our log; what it says comes as an error as well
}


def refuse(settings: Mapping[str, Setting]) -> None:
    """See that nothing is set that has a key of its own, is no choice, or is a secret.

    Raises:
        ValueError: something is.
    """
    for key in settings:
        if key in _OWN:
            raise ValueError(f"settings.{key}: expected it as {_OWN[key]}")
        if key in _FIXED:
            raise ValueError(f"settings.{key}: expected nothing, as offsets are kept in the store")
        if any(word in key for word in ("password", "secret", ".pem", "jaas")):
            raise ValueError(f"settings.{key}: expected no secret in settings: use password, or a file's path")


def given(settings: Mapping[str, Setting], directory: Path) -> dict[str, str]:
    """The settings with our defaults below them, and paths of files made absolute.

    >>> given({"ssl.ca.location": "ca.pem", "check.crcs": True}, Path("/etc"))["ssl.ca.location"]
    '/etc/ca.pem'
    """
    found = dict(_DEFAULTS)
    for key, value in settings.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        is_path = key.endswith(".location") and text != "probe"
        found[key] = str(directory / text) if is_path else text
    return found


def revealed(secrets: Mapping[str, Secret | None]) -> dict[str, str]:
    """The secrets that are configured, by the setting that takes each.

    Raises:
        SourceError: the file of one cannot be read.
    """
    found = {}
    for key, secret in secrets.items():
        try:
            if secret is not None:
                found[key] = secret.reveal()
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise SourceError(f"kafka: cannot read the file with {key}: {said}") from None
    return found
