"""A YAML file as plain data, with the line of every value and with `${NAME}` taken from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

# A text this short says nothing, and would be found in everything.
SHORTEST_HIDDEN = 5
_SECRET_KEY = re.compile(r"secret|token|password|passwd|url|key|credential|header|auth", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, and where."""

    path: Path
    message: str
    line: int = 0

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


def dotted(path: Path) -> str:
    """A path as people write it.

    >>> dotted(("apps", 0, "models", 1, "name"))
    'apps[0].models[1].name'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def is_secret(path: Path) -> bool:
    """Whether what stands at or below a key of this path may be a secret, by the key's name."""
    return any(_SECRET_KEY.search(str(part)) for part in path)


@dataclass(slots=True)
class Tree:
    """The data of a file, the line of every path in it, the paths filled from the environment, and what was wrong.

    `hidden` are the texts that no message may repeat: what the environment said, and what may be a secret by its key.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    from_environment: set[Path] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing above it that is in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.tree = Tree()
        self.construct = yaml.constructor.SafeConstructor()
        self.resolver = yaml.resolver.Resolver()
        self.merged: dict[int, int] = {}

    def problem(self, path: Path, node: yaml.Node, message: str) -> None:
        self.tree.problems.append(Problem(path, message, node.start_mark.line + 1))

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.tree.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, place)) for place, child in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        if id(node) not in self.merged:
            own = sum(key.tag != "tag:yaml.org,2002:merge" for key, _ in node.value)
            self.construct.flatten_mapping(node)
            self.merged[id(node)] = len(node.value) - own
        inherited = self.merged[id(node)]
        found: dict[str, Any] = {}
        # A key's own value comes before one that `<<` brings; of several that it brings, the last one counts.
        for place, (key_node, value_node) in enumerate([*node.value[inherited:], *reversed(node.value[:inherited])]):
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(path, key_node, "expected a key of one word, got a list or a mapping")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key not in found:
                self.tree.lines[here] = key_node.start_mark.line + 1
                found[key] = self.read(value_node, here)
            elif place < len(node.value) - inherited:
                self.problem(here, key_node, "expected the key once, got it twice")
        return found

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        text = str(node.value)
        if is_secret(path):
            self.hide(text)
        if "$" in text:
            text = self.substituted(node, path)
            # What comes from the environment is text unless it was written bare: then 8000 is a number again.
            if getattr(node, "style", None) is not None:
                return text
            node = yaml.ScalarNode(
                self.resolver.resolve(yaml.ScalarNode, text, (True, False)),  # type: ignore[no-untyped-call]
                text,
                node.start_mark,
            )
        try:
            return self.construct.construct_object(node)
        except ValueError:  # such as a date that is in no calendar
            self.problem(path, node, "expected a value, got what YAML cannot read")
            return None

    def substituted(self, node: yaml.Node, path: Path) -> str:
        text, missing = substitute(str(node.value), self.environment)
        for name in missing:
            self.problem(path, node, f"expected the environment variable {name} to be set, got nothing")
        self.tree.from_environment.add(path)
        self.hide(text)
        for name, _ in _VARIABLE.findall(str(node.value)):
            self.hide(self.environment.get(name, ""))
        return text

    def hide(self, text: str) -> None:
        if len(text) >= SHORTEST_HIDDEN:
            self.tree.hidden.add(text)


def substitute(text: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with `${NAME}` and `${NAME:-default}` replaced, and the names that are not set. `$$` is a plain `$`.

    >>> substitute("${HOST:-localhost}:${PORT}", {"PORT": "80"})
    ('localhost:80', [])
    """
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            return "$"
        found = environment.get(name) or default
        if found is None:
            missing.append(name)
        return found or ""

    return _VARIABLE.sub(value, text), missing


def read_tree(text: str, environment: Mapping[str, str]) -> Tree:
    """Read YAML text. What is wrong with it is in the tree's `problems`, never raised."""
    reader = _Reader(environment)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            reader.tree.problems.append(Problem((), "expected a configuration, got an empty file", 1))
        elif not isinstance(node, yaml.MappingNode):
            reader.problem((), node, "expected keys and values at the top")
        else:
            reader.tree.data = reader.read(node, ())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        said = re.sub(r" '(?!<)[^']{2,}'", "", said)  # it quotes the file, and that may be a secret
        reader.tree.problems.append(Problem((), f"expected YAML: {said}", mark.line + 1 if mark else 1))
    return reader.tree
