"""Which files a configured path means; nothing here reads them."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path

from monitor.source import SourceError

READERS = {
    ".parquet": "read_parquet",
    ".pq": "read_parquet",
    ".csv": "read_csv",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
    ".json": "read_json",
}


def matching_files(path: str, directory: Path) -> list[Path]:
    """The files a path means: itself, a glob's matches, or everything readable in a folder; sorted.

    Raises:
        SourceError: there is none.
    """
    whole = Path(path) if Path(path).is_absolute() else directory / path
    if has_magic(path):
        anchor = Path(whole.anchor)
        found = [file for file in anchor.glob(str(whole.relative_to(anchor))) if file.suffix in READERS]
    elif whole.is_dir():
        found = [file for file in whole.rglob("*") if file.suffix in READERS]
    else:
        found = [whole] if whole.is_file() else []
    if not found:
        raise SourceError(f"expected a file, found nothing at {whole}")
    if unknown := [file for file in found if file.suffix not in READERS]:
        raise SourceError(f"expected one of {', '.join(READERS)}, got {unknown[0]}")
    if len({READERS[file.suffix] for file in found}) > 1:
        raise SourceError(f"expected files of one kind, got several at {whole}")
    return sorted(found)
