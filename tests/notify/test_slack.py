"""Slack: what the message says, that it keeps Slack's limits, and what becomes of its delivery."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.notify import slack
from monitor.records import AlertState, ChangeReason, Notification, OutcomeKind, Severity
from tests import servers
from tests.notify.alerts import AT, alert, critical, notification, resolved
from tests.servers import Behaviour, answer, serving

MESSAGES = {
    "firing": notification(),
    "several": notification(alert("temp"), alert("hum", value=None), alert("windspeed", state=AlertState.PENDING)),
    "resolved": resolved(),
    "critical": critical(),
}


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [*message["blocks"], *(block for part in message["attachments"] for block in part["blocks"])]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def said(message: dict[str, Any]) -> str:
    return "\n".join(texts(message))


def assert_within_limits(message: dict[str, Any]) -> None:
    """Slack's limits, as its documentation and SDK state them; lengths are of the text as sent."""
    found = blocks(message)
    assert 1 <= len(found) <= 50
    assert 1 <= len(message["text"]) <= 4000
    assert len(json.dumps(found, ensure_ascii=False)) <= 13_000
    for block in found:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= len(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert ("text" in block) != ("fields" in block)
            if "text" in block:
                assert 1 <= len(block["text"]["text"]) <= 3000
            for each in block.get("fields", []):
                assert 1 <= len(each["text"]) <= 2000
            assert len(block.get("fields", [])) <= 10
        else:
            assert block["type"] == "context"
            assert 1 <= len(block["elements"]) <= 10
            assert all(1 <= len(each["text"]) <= 2000 for each in block["elements"])


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_is_the_reviewed_one(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"slack_{name}.json", json.dumps(slack.payload(MESSAGES[name]), indent=2) + "\n")


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_keeps_slacks_limits(name: str) -> None:
    assert_within_limits(slack.payload(MESSAGES[name]))


def test_a_person_reads_what_where_how_bad_since_when_and_whose() -> None:
    text = said(slack.payload(notification()))
    for part in (
        "Firing: ModelFeatureDrift",
        "bike-api",
        "bike-demand",
        "*Version*\n3",
        "feature temp",
        "value 0.3123, threshold 0.2",
        "since 2011-12-31T23:00:00Z",
        "mobility-team",
        "<https://wiki.example.org/bike-api?a=1&amp;b=2|runbook>",
        "<http://127.0.0.1:9877/|watch>",
    ):
        assert part in text


def test_two_hundred_alerts_with_long_names_become_one_message_that_fits() -> None:
    """Seven are shown, the others are counted."""
    many = [alert("<&>" * 100, summary="&" * 5000, value=1e300) for _ in range(200)]
    message = slack.payload(
        notification(*many, owner="o" * 5000, app="<a>" * 500, name="N" * 400, runbook="https://r/" + "&" * 5000)
    )
    assert_within_limits(message)
    assert "and 193 more" in said(message)
    assert "(200 alerts)" in message["text"]


def test_all_that_fits_is_shown() -> None:
    message = slack.payload(notification(*(alert(f"f{index}") for index in range(slack.SHOWN))))
    assert "more" not in said(message)
    assert f"feature f{slack.SHOWN - 1}" in said(message)


awkward = st.text(st.sampled_from("a<>&|*_`~@#!\n €😀"), max_size=3000)


@given(feature=awkward, summary=awkward, owner=awkward, runbook=awkward, name=awkward, count=st.integers(0, 60))
def test_no_text_breaks_a_limit_or_reaches_slack_as_markup(
    feature: str, summary: str, owner: str, runbook: str, name: str, count: int
) -> None:
    """Whatever features and owners are called: limits hold, nothing mentions a channel, every `<` is a link of ours."""
    alerts = tuple(alert(feature, summary=summary) for _ in range(count))
    made = notification(owner=owner, runbook=runbook, name=name)
    message = slack.payload(Notification(**{**{key: getattr(made, key) for key in made.__slots__}, "alerts": alerts}))
    assert_within_limits(message)
    for text in texts(message["attachments"]):
        assert text.count("<") == text.count("|watch>") + text.count("|runbook>")


def test_a_mention_in_a_features_name_calls_nobody() -> None:
    assert "<!channel>" not in said(slack.payload(notification(alert("<!channel>", summary="<@U1>"), owner="<!here>")))


def test_an_escape_is_never_cut_in_two() -> None:
    for limit in range(2, 30):
        text = slack.escaped("&<>" * 10, limit)
        assert len(text) <= limit
        assert not text.rstrip("…").replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_a_links_address_cannot_end_the_link() -> None:
    text = said(slack.payload(notification(runbook="https://wiki/a|b>c<d")))
    assert "<https://wiki/a%7Cb&gt;c&lt;d|runbook>" in text


@pytest.mark.parametrize("runbook", ["javascript:alert(1)", "see the wiki", "https://", "https://a b"])
def test_a_runbook_that_is_no_link_is_shown_as_text(runbook: str) -> None:
    text = said(slack.payload(notification(runbook=runbook)))
    assert "|runbook>" not in text
    assert f"runbook: {runbook}" in text


@pytest.mark.parametrize(
    ("severity", "emoji"),
    [(Severity.CRITICAL, ":rotating_light:"), (Severity.WARNING, ":warning:"), (Severity.INFO, ":information_source:")],
)
def test_severities_differ_in_emoji_and_colour_and_resolved_is_calm(severity: Severity, emoji: str) -> None:
    firing = slack.payload(notification(severity=severity))
    over = slack.payload(notification(severity=severity, status="resolved", reason=ChangeReason.RECOVERED))
    assert firing["blocks"][0]["text"]["text"].startswith(emoji)
    assert over["blocks"][0]["text"]["text"].startswith(":white_check_mark: Resolved")
    assert firing["attachments"][0]["color"] != over["attachments"][0]["color"]


def test_a_value_that_is_no_number_is_not_shown_as_one() -> None:
    assert "value n/a, threshold 0.2" in said(slack.payload(notification(alert(value=math.nan))))


def test_a_repeat_says_that_it_still_fires() -> None:
    assert slack.payload(critical())["text"].startswith("Still firing: AppDown [critical] bike-api")


def test_a_resolved_message_says_from_when_to_when() -> None:
    assert "2011-12-31T23:00:00Z to 2012-01-01T00:00:00Z" in said(slack.payload(resolved()))


# --- delivery ---------------------------------------------------------------------------------------------------------

PATH = "/services/T00000000/B00000000/HUSHHUSH"


@pytest.mark.parametrize(
    ("behaviour", "kind", "reason"),
    [
        (answer(200, "ok"), OutcomeKind.DELIVERED, "answered 200 OK"),
        (answer(400, "invalid_payload"), OutcomeKind.FAILED, "answered 400 Bad Request invalid_payload"),
        (answer(403, "action_prohibited"), OutcomeKind.FAILED, "answered 403 Forbidden action_prohibited"),
        (answer(404, "no_service"), OutcomeKind.FAILED, "answered 404 Not Found no_service"),
        (answer(404, f"<p>nothing at {PATH}"), OutcomeKind.FAILED, "answered 404 Not Found"),
        (answer(410, "channel_is_archived"), OutcomeKind.FAILED, "answered 410 Gone channel_is_archived"),
        (
            answer(429, "rate_limited", retry_after="30"),
            OutcomeKind.RETRY,
            "answered 429 Too Many Requests rate_limited",
        ),
        (answer(500, "rollup_error"), OutcomeKind.RETRY, "answered 500 Internal Server Error rollup_error"),
        (servers.hang, OutcomeKind.RETRY, "timed out after 0.6 s"),
        (servers.cut, OutcomeKind.RETRY, "connection cut"),
        (servers.garbage, OutcomeKind.RETRY, "the answer is not HTTP"),
    ],
)
def test_slacks_word_for_an_error_is_kept_and_permanent_ones_are_final(
    behaviour: Behaviour, kind: OutcomeKind, reason: str
) -> None:
    """And whatever happens, the webhook's URL, which is the secret, is not in the reason."""
    with serving(behaviour) as server:
        options = slack.Options.model_validate({"url": server.url + PATH, "timeout": "600ms"})
        outcome = slack.send(notification(), options)
        assert (outcome.kind, outcome.reason) == (kind, f"{server.url}: {reason}")
        assert server.seen[0].path == PATH
        assert server.seen[0].json() == slack.payload(notification())
        assert server.seen[0].headers["content-type"] == "application/json"
    assert "HUSHHUSH" not in f"{outcome!r} {options!r}"


def test_slacks_waiting_time_is_kept() -> None:
    with serving(answer(429, "rate_limited", retry_after="30")) as server:
        outcome = slack.send(notification(), slack.Options.model_validate({"url": server.url}))
    assert outcome.retry_after_seconds == 30


def test_the_url_is_read_from_its_file_at_every_attempt(tmp_path: Path) -> None:
    """So a rotated webhook needs no restart, and one that isn't there yet is tried again."""
    path = tmp_path / "slack-webhook"
    options = slack.Options.model_validate({"url_file": str(path)})
    outcome = slack.send(notification(), options)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.RETRY, f"cannot read {path}: No such file or directory")
    with serving(answer(200, "ok")) as server:
        path.write_text(f"{server.url}{PATH}\n", encoding="utf-8")
        assert slack.send(notification(), options).kind is OutcomeKind.DELIVERED
        assert server.seen[0].path == PATH


def test_a_file_that_holds_no_url_is_final_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "slack-webhook"
    path.write_text("HUSHHUSH\n", encoding="utf-8")
    outcome = slack.send(notification(), slack.Options.model_validate({"url_file": str(path)}))
    assert (outcome.kind, outcome.reason) == (
        OutcomeKind.FAILED,
        "expected a url such as https://host/path, got something else",
    )


def test_a_wrong_url_is_refused_with_the_configuration() -> None:
    with pytest.raises(ValidationError) as caught:
        slack.Options.model_validate({"url": "hooks.slack.com/services"})
    (error,) = caught.value.errors()
    assert error["msg"] == "Value error, expected a url such as https://host/path, got something else"


def test_the_time_in_the_message_is_the_watchs_own() -> None:
    """Nothing in the payload comes from the wall clock: it is the same at every attempt."""
    assert slack.payload(notification(at=AT)) == slack.payload(notification(at=AT))
