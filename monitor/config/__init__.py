"""YAML → typed, frozen configuration: every error at once, each with its file, line and path, and no secret in any."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from monitor.config.model import (
    Alerting,
    App,
    Config,
    Model,
    PluginSpec,
    Retraining,
    Route,
    RuleOverride,
    Windows,
)
from monitor.config.place import StorePlace
from monitor.config.plugins import rebase, resolve, spots
from monitor.config.schema import schema
from monitor.config.tree import Path, Problem, Tree, read_tree
from monitor.config.wording import problems_of, without_secrets
from monitor.options import Options, Secret

__all__ = [
    "Alerting",
    "App",
    "Config",
    "ConfigError",
    "Loaded",
    "Model",
    "PluginSpec",
    "Retraining",
    "Route",
    "RuleOverride",
    "StorePlace",
    "Windows",
    "load",
    "schema",
]


class ConfigError(Exception):
    """A configuration that cannot be used; `lines` says everything that is wrong with it, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, the folder its relative paths start from, and the hash that names its content."""

    config: Config
    path: FilePath
    hash: str

    @property
    def directory(self) -> FilePath:
        return self.path.resolve().parent

    @property
    def data_dir(self) -> FilePath:
        """The data folder, absolute."""
        return (self.directory / self.config.data_dir).resolve()

    @property
    def store(self) -> StorePlace:
        """Where the store is."""
        return StorePlace(self.data_dir, self.config.store.url)


def load(
    path: FilePath, *, environment: Mapping[str, str] | None = None, rules: Iterable[str] = (), secrets: bool = True
) -> Loaded:
    """Read and validate a configuration file.

    Args:
        path: the YAML file.
        environment: where `${NAME}` is taken from; the process's own by default.
        rules: the names of the shipped alert rules, which `alerting.rules` may adjust.
        secrets: also see that every file a secret is kept in can be read.

    Raises:
        ConfigError: the file cannot be read or is wrong; says everything that is wrong at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError([f"{path}: expected a configuration file, cannot read it: {reason}"]) from None
    tree = read_tree(text, os.environ if environment is None else environment)
    if not isinstance(tree.data, dict):
        raise ConfigError(_lines(path, tree, tree.problems))
    # Before the plug-ins take their places in the data.
    digest = hashlib.sha256(json.dumps(tree.data, sort_keys=True, default=str).encode()).hexdigest()[:12]
    config, problems = _validated(tree, list(rules))
    if config is not None:
        config = _rebased(config, path.resolve().parent)
        if secrets and not problems:
            problems.extend(_unreadable_secrets(config))
    if problems or config is None:
        raise ConfigError(_lines(path, tree, problems))
    return Loaded(config, path, digest)


def _validated(tree: Tree, rules: list[str]) -> tuple[Config | None, list[Problem]]:
    """The configuration in a tree, None where there is none, and everything that is wrong with it."""
    problems = [*tree.problems, *_unknown_rules(tree.data, rules), *_open_to_strangers(tree.data)]

    def report(error: ValidationError, base: Path, model: type[BaseModel]) -> None:
        problems.extend(problems_of(error, base, model, tree))

    for spot in list(spots(tree.data)):
        resolve(spot, report, problems)
    config = None
    try:
        config = Config.model_validate(tree.data)
    except ValidationError as error:
        report(error, (), Config)
    # Where nothing could be read, nothing else can be said.
    unread = {problem.path for problem in tree.problems}
    problems = [problem for problem in problems if problem in tree.problems or problem.path not in unread]
    return config, [without_secrets(problem, tree) for problem in problems]


def _lines(path: FilePath, tree: Tree, problems: list[Problem]) -> list[str]:
    placed = [(problem.line or tree.line(problem.path), problem) for problem in problems]
    placed.sort(key=lambda item: (item[0], str(item[1])))
    return list(dict.fromkeys(f"{path.name}:{line}: {problem}" for line, problem in placed))


def _unknown_rules(data: dict[str, Any], rules: list[str]) -> Iterable[Problem]:
    alerting = data.get("alerting")
    adjusted = alerting.get("rules") if isinstance(alerting, dict) else None
    for name in adjusted if rules and isinstance(adjusted, dict) else ():
        if name not in rules:
            near = get_close_matches(name, rules, 1)
            hint = f", did you mean {near[0]!r}?" if near else f": the rules are {', '.join(rules)}"
            yield Problem(("alerting", "rules", name), f"unknown rule{hint}")


def _open_to_strangers(data: dict[str, Any]) -> Iterable[Problem]:
    """Beyond this machine, who may write has to be said."""
    listen, auth = data.get("listen"), data.get("auth")
    host = str(listen).rpartition(":")[0].strip("[]") if isinstance(listen, str) else ""
    local = not host or host in ("localhost", "::1") or host.startswith("127.")
    said = auth == "none" or (isinstance(auth, dict) and bool(auth.get("tokens") or auth.get("none")))
    if not (local or said):
        message = "expected auth.tokens, or auth: none said aloud, for an address beyond loopback"
        yield Problem(("listen",), f"{message}, got {listen}")


def _rebased(value: Any, directory: FilePath) -> Any:
    """The same configuration with the paths of secrets' files made absolute."""
    if isinstance(value, PluginSpec):
        return rebase(value, directory)
    if isinstance(value, Secret) and value.path is not None:
        return Secret(path=directory / value.path)
    if isinstance(value, Options):
        return value.replace(**{name: _rebased(getattr(value, name), directory) for name in type(value).model_fields})
    if isinstance(value, tuple):
        return tuple(_rebased(item, directory) for item in value)
    if isinstance(value, dict):
        return {key: _rebased(item, directory) for key, item in value.items()}
    return value


def _secrets(value: Any, path: Path) -> Iterable[tuple[Path, Secret]]:
    if isinstance(value, PluginSpec):
        value = value.options
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, Options):
        for name in type(value).model_fields:
            held = getattr(value, name)
            key = f"{name}_file" if isinstance(held, Secret) and held.path else name
            yield from _secrets(held, (*path, key))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, (*path, key))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _secrets(item, (*path, place))


def _unreadable_secrets(config: Config) -> Iterable[Problem]:
    for path, secret in _secrets(config, ()):
        try:
            secret.reveal()
        except OSError as error:
            yield Problem(path, f"expected a file with the secret, cannot read {secret.path}: {error.strerror}")
        except ValueError:
            yield Problem(path, f"expected a file with the secret, got an empty file {secret.path}")
