"""Who imports whom in a tree of Python files, and which of these imports the design forbids."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = "monitor"

# Top to bottom: a module imports only what stands above it, or its own package.
ORDER = (
    "version memory records options serving_logs registry bundled child config windows profile stats concept calibrate estimate store wire schedule transport collect source"
    " check metrics alert notify retrain consequences provision report web backtest demo app cli __main__"
).split()
ALONE = frozenset({"client"})  # for the watched app: imports nothing of ours, and none of ours imports it

# No I/O, no clock, no global state: these may use one another (in the order above) and what is listed here.
PURE = frozenset({"profile", "stats", "concept", "calibrate", "alert"})
PURE_MAY_USE = frozenset(
    "__future__ abc bisect collections copy dataclasses enum fractions functools heapq itertools math numbers operator re"
    " statistics string textwrap types typing numpy scipy".split()
)


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    place: str


def modules(root: Path) -> dict[str, Path]:
    """Dotted name → file, of every module below the folder `root`, whose name is the package's."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[1] != "_bundled":  # package data that happens to be Python
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Iterator[Import]:
    """Every import statement anywhere in the tree: in functions, under TYPE_CHECKING, relative, and by constant name."""
    known = modules(root)
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for imported in _imported(node, package, known):
                yield Import(name, imported, f"{path.relative_to(root.parent)}:{getattr(node, 'lineno', 0)}")


def _imported(node: ast.AST, package: str, known: Collection[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        origin = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            within = f"{origin}.{alias.name}"
            yield within if within in known else origin
    elif isinstance(node, ast.Call) and _imports_by_name(node) and isinstance(node.args[0], ast.Constant):
        yield str(node.args[0].value)


def _imports_by_name(call: ast.Call) -> bool:
    return bool(call.args) and ast.unparse(call.func).rpartition(".")[2] in {"import_module", "__import__"}


def part(module: str) -> str:
    """The part of the design a module belongs to: `check` for `monitor.check.drift`, empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def violations(root: Path, plugin_folders: Mapping[str, str]) -> list[str]:
    """One line for each import the design forbids, and for each part it does not know."""
    unknown = sorted({part(name) for name in modules(root)} - set(ORDER) - ALONE - {""})
    found = [
        f"{ROOT}/{name}: expected a part that stands in ORDER (tests/structure/import_graph.py)" for name in unknown
    ]
    packages = {f"{ROOT}.{folder.replace('/', '.')}" for folder in plugin_folders.values()}
    for each in imports(root):
        if part(each.importer) not in unknown:
            found += [f"{each.place}: {reason}" for reason in _reasons(each, packages)]
    return found


def _reasons(each: Import, packages: Collection[str]) -> Iterator[str]:
    importer, top = part(each.importer), each.imported.partition(".")[0]
    if importer in PURE and top not in PURE_MAY_USE | {ROOT}:
        yield f"{importer} is pure and imports {each.imported}"
    if top != ROOT:
        return
    imported = part(each.imported)
    if imported != importer and not _above(imported, importer):
        yield f"{importer or ROOT} imports {imported or ROOT}, which doesn't stand above it"
    elif importer in PURE and imported not in PURE | {"records"}:
        yield f"{importer} is pure and imports {each.imported}"
    if _is_plugin(each.importer, packages) and _is_plugin(each.imported, packages) and each.importer != each.imported:
        yield f"the plug-in {each.importer} imports the plug-in {each.imported}"


def _above(upper: str, lower: str) -> bool:
    if not upper:  # the package itself, which holds the version and nothing else
        return lower not in ALONE
    return upper in ORDER and lower in ORDER and ORDER.index(upper) < ORDER.index(lower)


def _is_plugin(module: str, packages: Collection[str]) -> bool:
    """Whether a module is a plug-in or lies in one that is a folder; `_private` files of a plug-in folder are not."""
    for package in packages:
        inner = module.removeprefix(package + ".")
        if inner != module and not inner.startswith("_"):
            # retrain/guards and retrain/triggers are folders of plug-ins, not plug-ins
            return f"{package}.{inner.partition('.')[0]}" not in packages
    return False
