"""Files written whole or not at all, and only where they differ."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from monitor.provision import ProvisionError


def difference(before: str, after: str, name: str) -> list[str]:
    r"""What changes from one text to the other, as a unified diff.

    >>> difference("a\n", "b\n", "x")[-2:]
    ['-a', '+b']
    """
    lines = unified_diff(before.splitlines(), after.splitlines(), f"{name} (now)", f"{name} (to be)", lineterm="", n=2)
    return list(lines)


def put(folder: Path, files: Mapping[str, str], *, dry_run: bool) -> tuple[list[str], bool]:
    """Bring files of a folder to these texts. Files not named are left alone.

    Returns:
        Lines that say what was done (or, in a dry run, would be), and whether anything differs.

    Raises:
        ProvisionError: a file cannot be read or written.
    """
    lines: list[str] = []
    changed = False
    for name, text in files.items():
        path = folder / name
        before = _read(path)
        if before == text:
            lines.append(f"{path}: unchanged")
            continue
        changed = True
        verb = "create" if before is None else "update"
        if dry_run:
            lines.append(f"{path}: would {verb}")
            lines += difference(before, text, name) if before is not None else []
        else:
            _write(path, text)
            lines.append(f"{path}: {verb}d")
    return lines, changed


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProvisionError(f"{path}: cannot read what is there: {reason}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)  # Prometheus and Alertmanager run as other users
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise ProvisionError(f"{path}: cannot write: {error.strerror}") from None
