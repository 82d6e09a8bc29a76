"""`anchorwatch provision grafana`, against a server that holds Grafana's published specification."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alert.rules import RULES
from monitor.config import Config, load
from monitor.provision import ProvisionError
from monitor.provision.grafana import provision
from tests.provision.grafana_stand_in import TOKEN, Grafana, serving
from tests.servers import answer, answer_json, closed_port, garbage, hang
from tests.servers import serving as serving_as_scripted

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    def make(url: str, *, token: str = TOKEN, rules: dict[str, Any] | None = None, **grafana: Any) -> Config:
        (tmp_path / "token").write_text(token, encoding="utf-8")
        section = {"url": url, "token_file": "token", "prometheus_url": "http://prometheus:9090", **grafana}
        app = {"name": "bikes", "owner": 'mobility "team"', "runbook": "https://wiki.example.org/bikes"}
        path = tmp_path / "anchorwatch.yml"
        path.write_text(
            yaml.safe_dump({"apps": [app], "grafana": section, "alerting": {"rules": rules or {}}}), encoding="utf-8"
        )
        return load(path).config

    return make


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    state = Grafana()
    yield state
    assert state.faults == [], "something departed from Grafana's specification"


def run(config: Config, *, dry_run: bool = False) -> tuple[list[str], bool]:
    return provision(config, output=None, dry_run=dry_run, timeout_seconds=5.0)


def test_the_first_run_creates_everything(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        lines, changed = run(make_config(url))
    assert changed
    assert lines == [
        "folder 'Anchorwatch': created",
        "data source 'Anchorwatch Prometheus': created",
        "dashboard 'Anchorwatch: Model': created",
        "dashboard 'Anchorwatch: Overview': created",
        "rule group 'anchorwatch-app': created",
        "rule group 'anchorwatch-model': created",
        "rule group 'anchorwatch-watch': created",
    ]
    assert {board["folderUid"] for board in grafana.dashboards.values()} == {"anchorwatch"}
    assert grafana.datasources["anchorwatch-prometheus"]["url"] == "http://prometheus:9090"
    titles = {rule["title"] for group in grafana.groups.values() for rule in group["rules"]}
    assert titles == {rule.name for rule in RULES} | {"AnchorwatchDown"}


def test_a_second_run_changes_nothing_and_says_so(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        grafana.writes.clear()
        lines, changed = run(make_config(url))
    assert not changed
    assert all(line.endswith(": unchanged") for line in lines)
    assert grafana.writes == []


def test_another_organisation_than_the_first_is_no_difference(grafana: Grafana, make_config: MakeConfig) -> None:
    grafana.org_id = 7
    with serving(grafana) as url:
        run(make_config(url))
        assert run(make_config(url))[1] is False


def test_a_rule_edited_there_is_put_back(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        before = json.loads(json.dumps(grafana.groups["anchorwatch", "anchorwatch-model"]["rules"]))
        grafana.groups["anchorwatch", "anchorwatch-model"]["rules"][0]["labels"]["severity"] = "info"
        grafana.writes.clear()
        lines, changed = run(make_config(url))
    assert changed
    assert [line for line in lines if "unchanged" not in line] == ["rule group 'anchorwatch-model': updated"]
    assert grafana.writes == ["PUT /api/v1/provisioning/folder/anchorwatch/rule-groups/anchorwatch-model"]
    assert grafana.groups["anchorwatch", "anchorwatch-model"]["rules"] == before


def test_a_rule_and_a_dashboard_deleted_there_come_back(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        del grafana.groups["anchorwatch", "anchorwatch-app"]["rules"][1]
        del grafana.dashboards["anchorwatch-model"]
        lines, _ = run(make_config(url))
    assert "rule group 'anchorwatch-app': updated" in lines
    assert "dashboard 'Anchorwatch: Model': created" in lines


def test_a_dashboard_edited_or_moved_there_is_put_back(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        grafana.dashboards["anchorwatch-model"]["dashboard"]["panels"][0]["title"] = "mine"
        grafana.dashboards["anchorwatch-overview"]["folderUid"] = ""
        lines, _ = run(make_config(url))
        assert run(make_config(url))[1] is False
    assert lines[2:4] == ["dashboard 'Anchorwatch: Model': updated", "dashboard 'Anchorwatch: Overview': updated"]


def test_a_data_source_keeps_the_options_that_are_not_ours(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        source = grafana.datasources["anchorwatch-prometheus"]
        source["jsonData"]["timeInterval"] = "5s"
        source["isDefault"] = True
        source["url"] = "http://elsewhere:9090"
        lines, _ = run(make_config(url))
    assert lines[1] == "data source 'Anchorwatch Prometheus': updated"
    kept = grafana.datasources["anchorwatch-prometheus"]
    assert kept["url"] == "http://prometheus:9090"
    assert kept["jsonData"] == {"httpMethod": "POST", "timeInterval": "5s"}
    assert kept["isDefault"] is True


def test_what_others_own_is_left_alone(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        group = grafana.groups["anchorwatch", "anchorwatch-app"]
        foreign = {**group["rules"][0], "uid": "theirs", "title": "Theirs"}
        group["rules"].append(foreign)
        grafana.groups["anchorwatch", "their-group"] = {"title": "their-group", "folderUid": "anchorwatch", "rules": []}
        grafana.dashboards["theirs"] = {"dashboard": {"uid": "theirs", "title": "Theirs"}, "folderUid": "anchorwatch"}
        assert run(make_config(url))[1] is False
        group["rules"][0]["for"] = "1h"
        run(make_config(url))
    after = [rule["uid"] for rule in grafana.groups["anchorwatch", "anchorwatch-app"]["rules"]]
    assert "theirs" in after
    assert ("anchorwatch", "their-group") in grafana.groups
    assert "theirs" in grafana.dashboards


def test_a_rule_of_ours_that_is_no_more_leaves_its_group(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        rules = grafana.groups["anchorwatch", "anchorwatch-app"]["rules"]
        rules.append({**rules[0], "uid": "anchorwatch-OfLastYear", "title": "OfLastYear"})
        lines, _ = run(make_config(url))
    assert "rule group 'anchorwatch-app': updated" in lines
    assert "OfLastYear" not in {rule["title"] for rule in grafana.groups["anchorwatch", "anchorwatch-app"]["rules"]}


def test_a_dry_run_on_an_empty_grafana_writes_nothing(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        lines, changed = run(make_config(url), dry_run=True)
    assert changed
    assert len(lines) == 7
    assert all(line.endswith(": would create") for line in lines)
    assert grafana.writes == []


def test_a_dry_run_shows_the_difference_and_writes_nothing(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        grafana.writes.clear()
        lines, changed = run(
            make_config(url, rules={"ModelFeatureDrift": {"severity": "critical", "for": "1h"}}), dry_run=True
        )
    assert changed
    assert "rule group 'anchorwatch-model': would update" in lines
    assert '-    "severity": "warning"' in lines
    assert '+    "severity": "critical"' in lines
    assert '+   "for": "1h",' in lines
    assert grafana.writes == []


def test_overrides_reach_the_rules(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url, rules={"ModelFeatureDrift": {"severity": "critical", "for": "90m"}}))
    rules = grafana.groups["anchorwatch", "anchorwatch-model"]["rules"]
    drift = next(rule for rule in rules if rule["title"] == "ModelFeatureDrift")
    assert (drift["labels"]["severity"], drift["for"]) == ("critical", "1h30m")


def test_owner_and_runbook_are_chosen_by_the_app_of_an_alert(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
    annotations = grafana.groups["anchorwatch", "anchorwatch-app"]["rules"][0]["annotations"]
    assert annotations["owner"] == '{{ if eq .Labels.app "bikes" }}mobility "team"{{ end }}'
    assert annotations["runbook_url"] == '{{ if eq .Labels.app "bikes" }}https://wiki.example.org/bikes{{ end }}'
    assert annotations["summary"] == "{{ .Labels.app }} fails its probe {{ .Labels.probe }}"


def test_a_folder_of_that_title_is_used_whoever_made_it(grafana: Grafana, make_config: MakeConfig) -> None:
    grafana.folders["made-by-hand"] = {"uid": "made-by-hand", "title": "Team folder"}
    with serving(grafana) as url:
        lines, _ = run(make_config(url, folder="Team folder"))
    assert lines[0] == "folder 'Team folder': unchanged"
    assert {key[0] for key in grafana.groups} == {"made-by-hand"}


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_grafana_below_a_sub_path_is_reached(grafana: Grafana, make_config: MakeConfig, ending: str) -> None:
    with serving(grafana, "/tools/grafana") as url:
        assert run(make_config(url + ending))[1] is True
        assert run(make_config(url + ending))[1] is False


# --- what a person sees when it does not work -------------------------------------------------------------------------


def fails(config: Config, timeout_seconds: float = 5.0) -> str:
    with pytest.raises(ProvisionError) as caught:
        provision(config, output=None, dry_run=False, timeout_seconds=timeout_seconds)
    assert "glsa" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_wrong_token_is_said_to_be_wrong(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        message = fails(make_config(url, token="glsa_wrong"))
    assert message == (
        f"{url}: cannot read the folders: 401 it does not accept the token: "
        "expected that of a service account (Invalid API key)"
    )


def test_a_token_that_may_too_little_is_said_to(grafana: Grafana, make_config: MakeConfig) -> None:
    grafana.forbidden = True
    with serving(grafana) as url:
        message = fails(make_config(url))
    assert message.startswith(f"{url}: cannot read the folders: 403 the token may not do that")


def test_an_address_that_is_not_grafana_s_is_said_to_be_none(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana, "/grafana") as url:
        message = fails(make_config(url.removesuffix("/grafana")))
    assert "cannot read the folders: 404 there is no such thing: is this the address of Grafana" in message


def test_a_page_instead_of_json_is_said_to_be_one(make_config: MakeConfig) -> None:
    page = answer(200, b"<html>log in</html>", content_type="text/html")
    with serving_as_scripted(page) as server:
        message = fails(make_config(server.url))
    assert message.endswith("cannot read the folders: expected JSON, got a page: is this the address of Grafana?")


def test_garbage_instead_of_json_is_said_to_be_garbage(make_config: MakeConfig) -> None:
    with serving_as_scripted(answer(200, b"{{{", content_type="application/json")) as server:
        message = fails(make_config(server.url))
    assert message.endswith("cannot read the folders: the answer is not JSON")


def test_a_grafana_that_is_down_is_said_to_be_unreachable(make_config: MakeConfig) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    assert fails(make_config(url)) == f"{url}: cannot read the folders: it cannot be reached"


def test_something_that_speaks_no_http_is_said_to_be_unreachable(make_config: MakeConfig) -> None:
    with serving_as_scripted(garbage) as server:
        assert fails(make_config(server.url)).startswith(f"{server.url}: cannot read the folders: ")


def test_a_grafana_that_hangs_is_given_up(make_config: MakeConfig) -> None:
    with serving_as_scripted(hang) as server:
        message = fails(make_config(server.url), timeout_seconds=0.3)
    assert message == f"{server.url}: cannot read the folders: no answer within 0.3 s"


def test_a_server_error_is_told_with_its_words_but_never_the_token(make_config: MakeConfig) -> None:
    with serving_as_scripted(answer_json({"message": f"database locked for {TOKEN}"}, 500)) as server:
        message = fails(make_config(server.url))
    assert message == f"{server.url}: cannot read the folders: 500 database locked for ***"


def test_rules_provisioned_in_another_way_are_not_overwritten(grafana: Grafana, make_config: MakeConfig) -> None:
    with serving(grafana) as url:
        run(make_config(url))
        grafana.groups["anchorwatch", "anchorwatch-app"]["interval"] = 10
        grafana.provenance["anchorwatch", "anchorwatch-app"] = "file"
        message = fails(make_config(url))
    assert message.startswith(f"{url}: cannot put the rule group 'anchorwatch-app': 409 somebody else owns it there")
    assert "cannot change provenance" in message


def test_a_title_taken_by_another_dashboard_is_said_to_be(grafana: Grafana, make_config: MakeConfig) -> None:
    board = {"uid": "theirs", "title": "Anchorwatch: Model", "version": 1}
    grafana.folders["anchorwatch"] = {"uid": "anchorwatch", "title": "Anchorwatch"}
    grafana.dashboards["theirs"] = {"dashboard": board, "folderUid": "anchorwatch"}
    with serving(grafana) as url:
        message = fails(make_config(url))
    assert message.startswith(f"{url}: cannot save the dashboard 'Anchorwatch: Model': 412 ")


def test_a_data_source_name_taken_by_another_is_said_to_be(grafana: Grafana, make_config: MakeConfig) -> None:
    grafana.datasources["theirs"] = {"uid": "theirs", "name": "Anchorwatch Prometheus"}
    with serving(grafana) as url:
        message = fails(make_config(url))
    assert message.startswith(f"{url}: cannot create the data source 'Anchorwatch Prometheus': 409 ")


def test_a_password_in_the_address_is_never_shown(make_config: MakeConfig) -> None:
    message = fails(make_config(f"http://admin:hunter2@127.0.0.1:{closed_port()}"))
    assert "hunter2" not in message
    assert "admin" not in message


def test_an_empty_token_file_is_said_to_be_empty(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config("http://127.0.0.1:1")
    (tmp_path / "token").write_text(" \n", encoding="utf-8")
    assert "is empty" in fails(config)


def test_a_configuration_without_grafana_says_so(tmp_path: Path) -> None:
    path = tmp_path / "anchorwatch.yml"
    path.write_text("apps: [{name: bikes}]\n", encoding="utf-8")
    assert fails(load(path).config) == "expected a section grafana in the configuration, got none"


# --- as files ---------------------------------------------------------------------------------------------------------


def test_with_a_folder_given_files_are_written_instead(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config("http://127.0.0.1:1", folder="Team", rules={"AppDown": {"for": "2m"}})
    out = tmp_path / "provisioning"
    lines, changed = provision(config, output=out, dry_run=False)
    assert changed
    assert len(lines) == 5
    groups = yaml.safe_load((out / "alerting/anchorwatch.yml").read_text(encoding="utf-8"))["groups"]
    assert {group["folder"] for group in groups} == {"Team"}
    assert groups[0]["rules"][0]["for"] == "2m"
    assert json.loads((out / "dashboards/model.json").read_text(encoding="utf-8"))["uid"] == "anchorwatch-model"
    assert provision(config, output=out, dry_run=False)[1] is False
