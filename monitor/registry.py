"""Name → plug-in, found by its folder: a plug-in is a file, and the file's name is its name everywhere.

A plug-in is imported when it is first asked for, so what a configuration doesn't use costs no memory.
"""

from __future__ import annotations

import importlib
from collections import Counter
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent

FOLDERS = {
    "probe": "collect",
    "source": "source",
    "statistic": "stats",
    "check": "check",
    "receiver": "notify",
    "guard": "retrain/guards",
    "trigger": "retrain/triggers",
}


# Names that are promised and not there yet: whoever adds the file takes the name out of here.
PLANNED: dict[str, frozenset[str]] = {
    "probe": frozenset("tcp dns grpc heartbeat command".split()),
    "source": frozenset(),
    "statistic": frozenset(),
    "check": frozenset(),
    "receiver": frozenset("alertmanager pagerduty teams email apprise".split()),
    "guard": frozenset({"approval"}),
    "trigger": frozenset(
        "github gitlab jenkins circleci airflow kubeflow argo prefect dagster databricks sagemaker vertex azureml"
        " kubernetes spinnaker mlflow command".split()
    ),
}


class UnknownPlugin(LookupError):
    """No plug-in of that kind has that name; the message lists the known ones."""


class PlannedPlugin(UnknownPlugin):
    """The name is promised, and its file is still to come."""


def known(kind: str) -> list[str]:
    """The names of all plug-ins of a kind, sorted.

    Raises:
        RuntimeError: two plug-ins of the kind have one name (a file and a folder).
    """
    return list(_known(kind))


@cache
def _known(kind: str) -> tuple[str, ...]:
    found = Counter(
        path.stem
        for path in (ROOT / FOLDERS[kind]).iterdir()
        if not path.name.startswith(("_", ".")) and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )
    twice = sorted(name for name, count in found.items() if count > 1)
    if twice:
        raise RuntimeError(f"two {kind} plug-ins are named {twice[0]!r} in {ROOT / FOLDERS[kind]}")
    return tuple(sorted(found))


def load(kind: str, name: str) -> ModuleType:
    """The module of one plug-in.

    Raises:
        PlannedPlugin: there will be one of that name.
        UnknownPlugin: there is none of that name.
    """
    names = known(kind)
    if name not in names and name in PLANNED[kind]:
        raise PlannedPlugin(f"{name!r} is not available yet")
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownPlugin(f"expected one of {', '.join(names)}, got {name!r}{hint}")
    package = FOLDERS[kind].replace("/", ".")
    return importlib.import_module(f"monitor.{package}.{name}")


def forget() -> None:
    """Look at the folders anew (for tests that add a plug-in)."""
    _known.cache_clear()
