"""One Grafana over HTTP: calls that answer, or fail with one line that says what was attempted and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException, GrafanaTimeoutError
from niquests.exceptions import RequestException, SSLError

from monitor.options import Secret
from monitor.provision import ProvisionError

_HINTS = {
    401: "it does not accept the token: expected that of a service account",
    403: "the token may not do that: expected a service account with the role Admin",
    404: "there is no such thing: is this the address of Grafana, with its sub-path?",
    409: "somebody else owns it there (its name is taken, or it was provisioned in another way)",
    412: "it was changed meanwhile, or its title is taken in that folder",
}


class Missing(ProvisionError):
    """What was asked for is not there."""


class Server:
    """A Grafana, and the token for it. `api` is grafana-client's."""

    def __init__(self, url: str, token: Secret, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ProvisionError("grafana.url: expected an address such as http://grafana:3000, got something else")
        self._token = _revealed(token)
        self._timeout_seconds = timeout_seconds
        place = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self.url = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
        # The client glues its path to ours, so a sub-path has to end in a slash.
        address = urlunsplit((parts.scheme, place, f"{parts.path.rstrip('/')}/", parts.query, ""))
        self.api = GrafanaApi.from_url(address, credential=self._token, timeout=timeout_seconds)

    def ask(self, attempt: str, call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """What the call answers, decoded.

        Args:
            attempt: what is being attempted, in words for the message: `read the folders`.
            call: one of the client's methods.
            arguments: what it is called with.
            more: the same, by name.

        Raises:
            Missing: 404.
            ProvisionError: anything else that is no answer.
        """
        try:
            answer = call(*arguments, **more)
        except GrafanaTimeoutError:
            raise self._failed(attempt, f"no answer within {self._timeout_seconds:g} s") from None
        except GrafanaException as error:
            kind = Missing if error.status_code == 404 else ProvisionError
            raise kind(self._text(attempt, self._refusal(error))) from None
        except SSLError:
            raise self._failed(attempt, "its certificate is not trusted") from None
        except (RequestException, OSError) as error:
            reason = "the answer is not JSON" if isinstance(error, ValueError) else "it cannot be reached"
            raise self._failed(attempt, reason) from None
        if not isinstance(answer, dict | list):
            raise self._failed(attempt, "expected JSON, got a page: is this the address of Grafana?")
        return answer

    def _refusal(self, error: GrafanaException) -> str:
        said = error.response.get("message", "") if isinstance(error.response, dict) else ""
        hint = _HINTS.get(error.status_code, "")
        parts = [f"{error.status_code}", hint or said, f"({said})" if hint and said else ""]
        return " ".join(part for part in parts if part)

    def _failed(self, attempt: str, reason: str) -> ProvisionError:
        return ProvisionError(self._text(attempt, reason))

    def _text(self, attempt: str, reason: str) -> str:
        return f"{self.url}: cannot {attempt}: {reason}".replace(self._token, "***")


def _revealed(token: Secret) -> str:
    try:
        return token.reveal()
    except OSError as error:
        raise ProvisionError(f"grafana.token_file: cannot read {token.path}: {error.strerror}") from None
    except ValueError as error:
        raise ProvisionError(f"grafana.token_file: {error}") from None
