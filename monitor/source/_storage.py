"""Remote paths: `s3://`, `gs://` and `abfs://`, by the file systems that fsspec knows. Nothing is imported before it is used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from monitor.options import Duration, Secret
from monitor.options import Options as _Options
from monitor.source import SourceError
from monitor.source._feed import optional

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}
PACKAGES = {"s3": "s3fs", "gcs": "gcsfs", "azure": "adlfs"}
TRIES = 2  # of one request; what fails then is told, and tried again at the next look


def _known(path: str) -> str:
    scheme, separator, rest = path.partition("://")
    if separator and (scheme not in EXTRAS or not rest.strip("/")):
        raise ValueError(f"expected a path on this machine, s3://, gs:// or abfs://, got {shown(path)!r}")
    if separator and "@" in rest.partition("/")[0] and EXTRAS[scheme] != "azure":
        raise ValueError("expected a path without a user and a password: they belong under storage")
    return path


FilePath = Annotated[str, Field(min_length=1), AfterValidator(_known)]


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a duration above 0")
    return value


class Storage(_Options):
    """How a remote path is reached; what is not said is found by its library: in the environment, a profile, the machine's role.

    `options` go to the library as they are: they are shown where the configuration is, so no secret belongs there.
    """

    endpoint_url: str | None = None
    region: str | None = None
    account: str | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None
    token: Secret | None = None
    anonymous: bool = False
    timeout: Annotated[Duration, AfterValidator(_positive)] = 10.0
    options: Mapping[str, Any] = {}


NOTHING_SAID = Storage()


class NotThere(SourceError):
    """A path with nothing at it."""


def is_remote(path: str) -> bool:
    """Whether a path is not one of this machine's.

    >>> is_remote("s3://bucket/log/"), is_remote("log/part-*.parquet")
    (True, False)
    """
    return "://" in path


def shown(path: str) -> str:
    """A path as messages say it: without what may stand before an `@` in its host.

    >>> shown("http://me:hunter2@host/x"), shown("abfs://container@account.dfs.core.windows.net/x")
    ('http://***@host/x', 'abfs://container@account.dfs.core.windows.net/x')
    """
    scheme, separator, rest = path.partition("://")
    host, slash, below = rest.partition("/")
    if not separator or "@" not in host or EXTRAS.get(scheme) == "azure":
        return path
    return f"{scheme}://***@{host.rpartition('@')[2]}{slash}{below}"


class Secrets:
    """The secrets of a storage, read from where they are, and how a message looks without them."""

    def __init__(self, storage: Storage, directory: Path) -> None:
        self.access_key, self.secret_key, self.token = (
            _revealed(name, getattr(storage, name), directory) for name in ("access_key", "secret_key", "token")
        )

    def hide(self, error: BaseException) -> str:
        """What an error says, in one line, without a secret."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = lines[0] if lines else type(error).__name__
        for secret in sorted(filter(None, (self.access_key, self.secret_key, self.token)), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def _revealed(name: str, secret: Secret | None, directory: Path) -> str | None:
    if secret is None:
        return None
    if secret.path is not None and not secret.path.is_absolute():
        secret = Secret(path=directory / secret.path)
    try:
        return secret.reveal()
    except OSError as error:
        raise SourceError(f"storage.{name}: cannot read {secret.path}: {error.strerror}") from None
    except ValueError as error:
        raise SourceError(f"storage.{name}: {error}") from None


@contextmanager
def reaching(path: str, secrets: Secrets) -> Iterator[None]:
    """Whatever a library raises while a remote path is reached is a `SourceError`, without secrets."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError:
        raise NotThere(f"expected a file, found nothing at {shown(path)}") from None
    except Exception as error:  # noqa: BLE001 - each library raises its own, and they have no common base
        raise SourceError(f"{shown(path)}: {_kind(error)}{secrets.hide(error)}") from None


def _kind(error: BaseException) -> str:
    """Timeouts and the like say little by themselves."""
    name = type(error).__name__
    return f"{name}: " if str(error).strip() and name not in str(error) else ""


def file_system(path: str, storage: Storage | None, directory: Path) -> tuple[Any, Secrets]:
    """The fsspec file system of a remote path, and the secrets it was opened with.

    Raises:
        SourceError: its package is missing, or it cannot be opened.
    """
    storage = storage or NOTHING_SAID
    secrets = Secrets(storage, directory)
    extra = EXTRAS[path.partition("://")[0]]
    implementation = _implementation(path, extra)
    with reaching(path, secrets):
        known = {"use_listings_cache": False} | _arguments(extra, storage, secrets)
        opened = implementation(**{name: value for name, value in known.items() if value is not None})
    if extra == "s3":
        opened.retries = TRIES  # its own tries, around those of the library below it
    return opened, secrets


def _implementation(path: str, extra: str) -> Any:
    scheme, package = path.partition("://")[0], PACKAGES[extra]
    optional(package, package, extra, f"{scheme}://")
    return optional("fsspec", package, extra, f"{scheme}://").get_filesystem_class(scheme)


def _arguments(extra: str, storage: Storage, secrets: Secrets) -> dict[str, Any]:
    """What each library calls them; what is None is left to it."""
    seconds, more = storage.timeout, dict(storage.options)
    if extra == "s3":
        config = {
            "connect_timeout": seconds,
            "read_timeout": seconds,
            "retries": {"total_max_attempts": 1},
            **more.pop("config_kwargs", {}),
        }
        client = {"region_name": storage.region, **more.pop("client_kwargs", {})}
        return {
            "anon": storage.anonymous,
            "endpoint_url": storage.endpoint_url,
            "key": secrets.access_key,
            "secret": secrets.secret_key,
            "token": secrets.token,
            "client_kwargs": {name: value for name, value in client.items() if value is not None},
            "config_kwargs": config,
            **more,
        }
    if extra == "gcs":
        token = _service_account(secrets.token)
        return {
            "token": "anon" if storage.anonymous else token,
            "endpoint_url": storage.endpoint_url,
            "requests_timeout": seconds,
            **more,
        }
    return {
        "account_name": storage.account,
        "account_host": storage.endpoint_url,
        "account_key": secrets.secret_key,
        "sas_token": secrets.token,
        "anon": storage.anonymous or None,
        "connection_timeout": int(seconds) or 1,
        "read_timeout": int(seconds) or 1,
        **more,
    }


def _service_account(token: str | None) -> Any:
    if token is None:
        return None
    try:
        return json.loads(token)
    except ValueError:
        raise SourceError("storage.token: expected the JSON of a service account") from None


def delta_options(path: str, storage: Storage | None, secrets: Secrets) -> dict[str, str]:
    """What delta-rs calls the same things, by object store."""
    storage = storage or NOTHING_SAID
    extra, timeout = EXTRAS[path.partition("://")[0]], f"{storage.timeout:g}s"
    wait = {"timeout": timeout, "connect_timeout": timeout, "max_retries": str(TRIES), "retry_timeout": timeout}
    plain = (storage.endpoint_url or "").startswith("http://")
    named: dict[str, str | None] = {
        "s3": {
            "AWS_ENDPOINT_URL": storage.endpoint_url,
            "AWS_REGION": storage.region or ("us-east-1" if storage.endpoint_url else None),
            "AWS_ACCESS_KEY_ID": secrets.access_key,
            "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
            "AWS_SESSION_TOKEN": secrets.token,
            "AWS_SKIP_SIGNATURE": "true" if storage.anonymous else None,
            "AWS_ALLOW_HTTP": "true" if plain else None,
        },
        "gcs": {
            "google_service_account_key": secrets.token,
            "google_skip_signature": "true" if storage.anonymous else None,
        },
        "azure": {
            "azure_storage_account_name": storage.account,
            "azure_storage_account_key": secrets.secret_key,
            "azure_storage_sas_key": secrets.token,
            "azure_skip_signature": "true" if storage.anonymous else None,
        },
    }[extra]
    given = {name: str(value) for name, value in storage.options.items() if isinstance(value, str | int | float)}
    return wait | {name: value for name, value in named.items() if value is not None} | given
