"""Good files are read, and bad ones are told exactly what is wrong with them: all of it, at once, where it stands."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import ConfigError, load
from monitor.config.tree import Problem, read_tree
from monitor.config.wording import without_secrets
from tests.config.files import ENVIRONMENT, HERE, known_names, lines_of, parsed, read, written

BAD = sorted((HERE / "bad").glob("*.yml"))
GOOD = sorted((HERE / "good").glob("*.yml"))
SMALL = "apps:\n  - name: shop\n    models:\n      - {name: demand, task: regression}\n"


def named(path: Path) -> str:
    return path.stem


def test_there_are_files_to_test() -> None:
    assert len(BAD) > 30
    assert {path.stem for path in BAD} == {path.stem for path in (HERE / "bad").glob("*.txt")}
    assert {path.stem for path in GOOD} >= {"smallest", "everything_available", "without_labels"}


@pytest.mark.parametrize("path", BAD, ids=named)
def test_a_bad_file_is_told_exactly_this(path: Path) -> None:
    expected = path.with_suffix(".txt").read_text(encoding="utf-8").format_map(known_names())
    assert "\n".join(lines_of(path)) + "\n" == expected


@pytest.mark.parametrize("path", BAD, ids=named)
def test_no_message_shows_a_secret(path: Path) -> None:
    """Everything secret in these files, and what the environment says, contains this word; a type hides nothing of it."""
    said = "\n".join(line.partition(".yml:")[2] for line in lines_of(path, secrets=True))
    assert said
    assert "hunter2" not in said.lower()


@pytest.mark.parametrize("path", BAD, ids=named)
def test_a_line_is_one_of_the_file_and_they_come_in_order(path: Path) -> None:
    numbers = [int(line.split(":")[1]) for line in lines_of(path)]
    assert numbers == sorted(numbers)
    assert numbers[0] >= 1
    assert numbers[-1] <= max(len(path.read_text(encoding="utf-8").splitlines()) + 1, 1)


@pytest.mark.parametrize("path", GOOD, ids=named)
def test_a_good_file_is_read(path: Path) -> None:
    assert lines_of(path) == []


# --- values -----------------------------------------------------------------------------------------------------------


def test_what_is_left_out_has_its_default() -> None:
    config = read(HERE / "good" / "smallest.yml").config
    (app,) = config.apps
    (model,) = app.models
    assert (config.listen, config.metrics_listen, str(config.data_dir)) == ("127.0.0.1:9877", None, "data")
    assert (config.store.retention, config.store.profiles) == (30 * 86400, 400 * 86400)
    assert (model.windows.size, model.windows.every, model.windows.lateness) == (7 * 86400, 86400, 3600)
    assert (model.predictions.type, model.labels.type, model.reference.type) == ("ingest", "ingest", "files")
    assert {"drift", "quality"} <= set(model.checks)
    assert "performance" not in model.checks
    assert model.retraining is None


def test_predictions_in_files_need_no_labels() -> None:
    """Nothing is taken for them: labels that are pushed do not join predictions in files."""
    ((_, model),) = read(HERE / "good" / "without_labels.yml").config.models()
    assert (model.predictions.type, model.labels) == ("files", None)
    assert "performance" in model.checks


def test_what_is_given_is_taken() -> None:
    config = read(HERE / "good" / "everything_available.yml").config
    shop, other = config.apps
    demand, churn = shop.models
    assert [probe.name for probe in shop.probes] == ["health", "golden"]
    assert (shop.probes[0].every, shop.probes[0].options.timeout) == (15, 2)
    assert shop.probes[1].options.json_body == {"hr": 8, "temp": 0.3, "workingday": 1}
    assert (shop.scrape.type, shop.scrape.every, shop.process.type) == ("prometheus", 30, "process")
    assert demand.columns.score == {"up": "p_up", "down": "p_down"}
    assert demand.features is not None
    assert list(demand.features) == ["temp", "a feature of several words"]
    assert (demand.labels.mature, demand.labels.expire) == (3 * 86400, 30 * 86400)
    assert demand.checks["quality"].options.missing == 0.05
    assert demand.checks["drift"].options.thresholds == {"psi": 0.2}
    assert demand.retraining is not None
    assert {name: spec.options.root for name, spec in demand.retraining.guards.items()} == {
        "min_labels": 500, "cooldown": 86400, "per_day": 2, "single_flight": True, "no_history": False,
    }  # fmt: skip
    assert (churn.windows.calendar, set(churn.checks)) == ("month", {"quality", "drift"})
    assert [(route.to, route.repeat) for route in config.alerting.routes] == [
        (("pager", "team"), 4 * 3600), (("team",), 86400),
    ]  # fmt: skip
    assert config.alerting.rules["ModelFeatureDrift"].for_ == 3600
    # A key of one's own comes before one that `<<` brings.
    assert (other.name, other.owner, str(other.process.options.pid_file)) == (
        "another-shop",
        "mobility-team",
        "/run/shop.pid",
    )


def test_paths_of_secrets_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("whsec_hunter2\n")
    text = SMALL + "alerting: {receivers: [{name: a, type: slack, url_file: key}]}\n"
    loaded = read(written(tmp_path, text), secrets=True)
    (receiver,) = loaded.config.alerting.receivers
    assert receiver.options.url.path == tmp_path / "key"
    assert receiver.options.url.reveal() == "whsec_hunter2"
    assert loaded.data_dir == tmp_path / "data"


# --- the environment --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written_as", "environment", "expected"),
    [
        ("${OWNER}", {"OWNER": "team"}, "team"),
        ("${OWNER:-nobody}", {}, "nobody"),
        ("${OWNER:-nobody}", {"OWNER": "team"}, "team"),
        ('"${OWNER:-}"', {}, ""),
        ("a ${OWNER} b ${OWNER}", {"OWNER": "team"}, "a team b team"),
        ("costs $$5 and $${OWNER}", {"OWNER": "team"}, "costs $5 and ${OWNER}"),
        ("'${OWNER}'", {"OWNER": "5"}, "5"),
        ('"${OWNER}"', {"OWNER": "true"}, "true"),
        ("$OWNER", {"OWNER": "team"}, "$OWNER"),
        ("${OWNER}", {"OWNER": "a: [b"}, "a: [b"),
    ],
)
def test_variables_are_put_in(tmp_path: Path, written_as: str, environment: dict[str, str], expected: str) -> None:
    path = written(tmp_path, f"apps:\n  - name: shop\n    owner: {written_as}\n")
    assert read(path, environment=environment).config.apps[0].owner == expected


def test_a_bare_variable_may_be_a_number_and_a_quoted_one_is_text(tmp_path: Path) -> None:
    path = written(tmp_path, "apps: [{name: shop}]\nmetrics:\n  features: ${COUNT}\n")
    config = read(path, environment={"COUNT": "7"}).config
    assert config.metrics.features == 7
    path = written(tmp_path, "apps:\n  - name: ${NUMBER}\n")
    assert lines_of(path, environment={"NUMBER": "12345"}) == ["anchorwatch.yml:2: apps[0].name: expected text"]
    path = written(tmp_path, 'apps:\n  - name: "${NUMBER}"\n')
    assert read(path, environment={"NUMBER": "12345"}).config.apps[0].name == "12345"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the data, sections and lists among them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


EVERYTHING = parsed((HERE / "good" / "everything_available.yml").read_text(encoding="utf-8"))
del EVERYTHING["apps"][1]  # it says nothing that the first one doesn't


def test_what_the_environment_says_is_never_shown_wherever_it_is_put(tmp_path: Path) -> None:
    """Every value and section of a whole configuration in turn is taken from the environment: as text, a list, a section."""
    shapes: list[Any] = ["${SECRET}", ["${SECRET}"], {"inner": "${SECRET}"}]
    wrong = 0
    for number, place in enumerate(places(EVERYTHING)[1:]):
        data = copy.deepcopy(EVERYTHING)
        inner = data
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = shapes[number % 3]
        path = written(tmp_path, yaml.safe_dump(data))
        said = "\n".join(lines_of(path, environment={**ENVIRONMENT, "SECRET": "hunter2-hunter2"}))
        wrong += bool(said)
        assert "hunter2" not in said, place
    assert wrong > 50


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("owner: ${SECRET}", "hunter2"),
        ("owner: user-${SECRET}@host", "hunter2"),
        ("owner: user-${SECRET}@host", "user-hunter2@host"),
        ("token: hunter2", "hunter2"),
        ("receivers: [{url: https://hooks/hunter2}]", "https://hooks/hunter2"),
    ],
)
def test_a_part_that_repeats_a_secret_in_its_own_words_is_cut_short(text: str, found: str) -> None:
    """Whatever part of the configuration a message is about, and wherever the secret stands in it."""
    tree = read_tree(text, {"SECRET": "hunter2"})
    said = without_secrets(Problem(("elsewhere",), f"expected something, got {found!r} of all things", 7), tree)
    assert said == Problem(("elsewhere",), "expected something", 7)
    harmless = Problem(("elsewhere",), "expected something, got 'nothing much'", 7)
    assert without_secrets(harmless, tree) == harmless


# --- files of secrets -------------------------------------------------------------------------------------------------

SECRETS = """\
auth: {tokens: [{name: a, role: read, token_file: nothing}]}
apps: [{name: shop}]
alerting:
  receivers:
    - {name: team, type: slack,
       url_file: empty}
    - {name: pager, type: webhook, url: "https://x.example.org", headers: {X: hunter2}, secret_file: folder}
"""


def test_a_file_of_a_secret_that_cannot_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "folder").mkdir()
    assert lines_of(written(tmp_path, SECRETS), secrets=True) == [
        f"anchorwatch.yml:1: auth.tokens[0].token_file: expected a file with the secret, cannot read {tmp_path / 'nothing'}: No such file or directory",
        f"anchorwatch.yml:6: alerting.receivers[0].url_file: expected a file with the secret, got an empty file {tmp_path / 'empty'}",
        f"anchorwatch.yml:7: alerting.receivers[1].secret_file: expected a file with the secret, cannot read {tmp_path / 'folder'}: Is a directory",
    ]


def test_without_looking_at_secrets_their_files_may_be_missing(tmp_path: Path) -> None:
    assert lines_of(written(tmp_path, SECRETS), secrets=False) == []


def test_a_secret_does_not_show_itself_in_the_configuration() -> None:
    config = read(HERE / "good" / "everything_available.yml").config
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)


# --- the file itself --------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_told_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.lines == [f"{path}: expected a configuration file, cannot read it: No such file or directory"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "expected a configuration file, cannot read it: it is not UTF-8 text"),
        (b"apps: " + b"[" * 5000 + b"]" * 5000, "1: expected YAML: maximum recursion depth exceeded"),
        (
            b"apps: [{name: \x01}]",
            "1: expected YAML: unacceptable character #x0001: special characters are not allowed",
        ),
        (b"# only a remark\n", "1: expected a configuration, got an empty file"),
        (
            b"apps:\n  - {name: shop, owner: 2011-02-31}\n",
            "2: apps[0].owner: expected a value, got what YAML cannot read",
        ),
    ],
)
def test_a_file_that_is_no_configuration_is_told_why(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "anchorwatch.yml"
    path.write_bytes(content)
    (line,) = lines_of(path)
    assert line.endswith(said)


def test_a_file_that_refers_to_itself_is_an_error(tmp_path: Path) -> None:
    (line,) = lines_of(written(tmp_path, "apps: &a [*a]\n"))
    assert line.startswith("anchorwatch.yml:1: expected YAML: ")


def test_the_hash_names_the_content_and_not_its_spelling(tmp_path: Path) -> None:
    first = read(written(tmp_path, SMALL)).hash
    assert read(written(tmp_path, "# a remark\n" + SMALL.replace("      - ", "      -   "))).hash == first
    assert read(written(tmp_path, SMALL + "metrics: {features: 3}\n")).hash != first
    assert len(first) == 12


def test_every_alias_is_read_alike(tmp_path: Path) -> None:
    text = "apps:\n  - &a {name: a, owner: x}\n  - &b {<<: *a, name: b}\n  - {<<: *b, name: c}\n"
    config = read(written(tmp_path, text)).config
    assert [(app.name, app.owner) for app in config.apps] == [("a", "x"), ("b", "x"), ("c", "x")]
