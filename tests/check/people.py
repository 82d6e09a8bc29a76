"""People who are told apart, in memory: what a model says of them, what is true, and the judgement of its fairness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monitor.check import References, judge_model
from monitor.config import Model
from monitor.records import CheckResult, Column, EventBatch, Finding, LabelledBatch, Window
from monitor.source import SourceError
from monitor.source._outcomes import CLASS_SCORE, GROUP
from tests.check.judging import DAY, NOW, WINDOW, MemorySource, model

PARITY = ("demographic_parity_difference", "demographic_parity_ratio")
LABELLED = (
    "equal_opportunity_difference", "equalized_odds_difference", "predictive_parity_difference",
    "group_calibration_difference", "group_error_difference",
)  # fmt: skip
BEFORE = Window(WINDOW.start - 7 * DAY, WINDOW.start)


@dataclass
class People(MemorySource):
    """Predictions and labels with what rows are told apart by. `asked` are the windows whose rows were read."""

    asked: list[Window] = field(default_factory=list)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        self.asked.append(window)
        if isinstance(self.batches, Exception):
            raise self.batches
        held = [batch for batch in self.batches if len(batch) and window.start <= batch.times[0] < window.end]
        wanted = {column.name for column in columns}
        return {
            batch.version: EventBatch(
                batch.version, batch.times[:limit], {name: batch.features[name][:limit] for name in wanted}
            )
            for batch in held
        }

    def fails(self) -> None:
        """From now on its predictions cannot be read, though they are still counted."""
        self.rows = self._failed  # type: ignore[method-assign]

    def _failed(self, *_: object, **__: object) -> Mapping[str, EventBatch]:
        raise SourceError("the predictions are gone")


def names(values: Any) -> Any:
    return np.array([None if value is None else str(value) for value in values], dtype=object)


def predicted(said: Any, version: str = "1", *, time: float = WINDOW.start, **groups: Any) -> EventBatch:
    features = {f"{GROUP}{name}": names(values) for name, values in groups.items()} | {"prediction": names(said)}
    return EventBatch(version, np.full(len(said), time), features)


def labelled(
    label: Any, said: Any, version: str = "1", *, score: Any = None, time: float = WINDOW.start, **groups: Any
) -> LabelledBatch:
    columns: dict[str, Any] = {f"{GROUP}{name}": names(values) for name, values in groups.items()}
    if score is not None:
        columns[f"{CLASS_SCORE}1"] = np.array(score, dtype=np.float64)
    number, times = len(label), np.full(len(label), time)
    is_numeric = np.asarray(label).dtype == np.float64
    true, told = (np.asarray(each) if is_numeric else names(each) for each in (label, said))
    return LabelledBatch(times, np.full(number, version, dtype=object), told, true, times, columns)


def people(label: Any, said: Any, version: str = "1", *, score: Any = None, **groups: Any) -> People:
    batch = labelled(label, said, version, score=score, **groups)
    return People([predicted(said, version, **groups)], [batch])


def watched(folder: Path, task: str = "binary", **options: Any) -> Model:
    return model(folder, task, checks={"fairness": {"protected": ["sex"], **options}}, labels={"type": "ingest", "mature": "3d"},
                 predictions={"type": "ingest"})  # fmt: skip


def judge(about: Model, source: Any, *, state: str | None = None, matured: Window | None = None) -> CheckResult:
    references, states = References(lambda _: None), {} if state is None else {"fairness": state}
    (result,) = judge_model(
        "shop", about, WINDOW, source, references, now=WINDOW.end + 3 * DAY if matured is None else NOW,
        matured=matured, states=states,
    )  # fmt: skip
    return result


def one(result: CheckResult, statistic: str, segment: str = "sex", version: str | None = "1") -> Finding:
    about = (statistic, segment, version)
    (found,) = [each for each in result.findings if (each.statistic, each.segment, each.version) == about]
    return found


def rates(sizes: Mapping[str, tuple[int, int]]) -> tuple[Any, Any]:
    """Predictions and sexes: of each group so many rows, and of these so many positive."""
    said = [("1" if place < positive else "0") for rows, positive in sizes.values() for place in range(rows)]
    return said, [name for name, (rows, _) in sizes.items() for _ in range(rows)]


def parity(folder: Path, sizes: Mapping[str, tuple[int, int]], **options: Any) -> Finding:
    said, sex = rates(sizes)
    name = "demographic_parity_difference"
    result = judge(watched(folder, metrics=[name], **options), People([predicted(said, sex=sex)]))
    return one(result, name)
