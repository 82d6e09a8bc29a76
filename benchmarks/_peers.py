"""Running the peers, each in its own environment, on jobs written here."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._populations import Features
from monitor.records import Coded

HERE = Path(__file__).resolve().parent / "peers"
PEERS = ("evidently", "nannyml", "frouros", "whylogs")


def environment(peer: str) -> Path | None:
    """The Python of a peer's environment; None where `peers/setup.sh` has not made it."""
    python = HERE / f".venv-{peer}" / "bin" / "python"
    return python if python.exists() else None


def run(peer: str, *arguments: str, timeout: float = 3600) -> dict[str, Any]:
    """The answer of a peer's runner.

    Raises:
        RuntimeError: it has no environment, or its runner failed.
    """
    python = environment(peer)
    if python is None:
        raise RuntimeError(f"{peer} has no environment here; try benchmarks/peers/setup.sh {peer}")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "answer.json"
        command = [str(python), str(HERE / f"run_{peer}.py"), *arguments, "--output", str(output)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if ended.returncode:
            raise RuntimeError(f"{peer} failed: {ended.stderr.strip()[-1000:]}")
        answer: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return answer


def table(features: Features) -> pa.Table:
    """Columns as Arrow has them: text for categories, NaN as null."""
    arrays = {}
    for name, values in features.items():
        if isinstance(values, Coded):
            codes = pa.array(values.codes, mask=values.codes < 0)
            arrays[name] = pa.DictionaryArray.from_arrays(codes, pa.array(list(values.names))).cast(pa.string())
        else:
            numbers = np.asarray(values)
            arrays[name] = pa.array(numbers, mask=np.isnan(numbers))
    return pa.table(arrays)


def write_job(folder: Path, reference: Features, windows: Sequence[Features]) -> None:
    """Write a reference and windows of one size where a peer's runner reads them."""
    categorical = [name for name, values in reference.items() if isinstance(values, Coded)]
    told = {
        "numeric": [name for name in reference if name not in categorical],
        "categorical": categorical,
        "rows": len(next(iter(windows[0].values()))),
        "windows": len(windows),
    }
    (folder / "job.json").write_text(json.dumps(told), encoding="utf-8")
    pq.write_table(table(reference), folder / "reference.parquet")
    pq.write_table(pa.concat_tables([table(window) for window in windows]), folder / "windows.parquet")


def judged(peer: str, reference: Features, windows: Sequence[Features]) -> dict[str, Any]:
    """What a peer itself says of these windows.

    Raises:
        RuntimeError: it has no environment, or its runner failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), reference, windows)
        return run(peer, "--job", folder)
