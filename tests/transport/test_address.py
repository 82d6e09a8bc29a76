"""What options accept as URL, header and timeout, and what the user reads when they don't."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor import transport
from monitor.options import Options, Secret


class Some(Options):
    url: transport.Url = "http://127.0.0.1/"
    hook: transport.SecretUrl = Secret("http://127.0.0.1/")
    headers: transport.Headers = {}
    timeout: transport.Timeout = 5.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "127.0.0.1:8000"}, "expected a url such as https://host/path, got something else"),
        ({"url": "http:///path"}, "expected a url such as https://host/path, got something else"),
        ({"url": "http://host:99999/"}, "expected a url such as https://host/path, got something else"),
        ({"hook": "hushhush"}, "expected a url such as https://host/path, got something else"),
        ({"headers": {"X-Token": 1}}, "expected a header's value as text"),
        ({"headers": {"X Token": "a"}}, "expected a header's name such as X-Token, got 'X Token'"),
        ({"timeout": "0s"}, "expected a duration above 0s"),
        ({"timeout": "soon"}, "expected a duration such as 30s, 5m, 1h or 7d, got 'soon'"),
        ({"timeout": 5}, "expected a duration such as 30s, 5m, 1h or 7d, got 5"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Some.model_validate(given)
    (error,) = caught.value.errors()
    assert error["msg"] == f"Value error, {message}"


def test_secrets_stay_out_of_the_repr() -> None:
    some = Some.model_validate({"hook": "https://h/hushhush", "headers": {"X-Token": "hushhush"}})
    assert "hushhush" not in repr(some)
    assert "hushhush" not in str(some.model_dump())
    assert transport.reveal_headers(some.headers) == {"X-Token": "hushhush"}


def test_a_url_may_stand_in_a_file(tmp_path: Path) -> None:
    """It is read when it is used, so the file need not be there when the configuration is read."""
    path: Path = tmp_path / "hook"
    some = Some.model_validate({"hook_file": str(path)})
    path.write_text("https://hooks.slack.com/services/x\n", encoding="utf-8")
    assert some.hook.reveal() == "https://hooks.slack.com/services/x"


def test_of_a_url_only_scheme_host_and_port_are_said() -> None:
    assert transport.where("https://user:pass@Hooks.Slack.com:443/a?b#c") == "https://hooks.slack.com"
    assert transport.where("http://[::1]:8080/a") == "http://[::1]:8080"
