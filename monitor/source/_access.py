"""How the files of one section of the configuration are reached and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.config import Model
from monitor.source._storage import Storage

LOGS = ("sagemaker", "tf_serving", "mlflow")


@dataclass(frozen=True, slots=True)
class Log:
    """How the records of a serving system are turned into rows.

    Attributes:
        labels: whether they are labels, not predictions.
        names: of the declared features, in order.
        columns: what the columns of a model are called, by what they are.
        scores: the columns of the probabilities by class, or the one of a single probability.
        positive: the class of a binary model whose probability is told alone.
        serving_model: the name under which the records tell the model; empty if they hold one model only.
        id_from: the input that holds an event's id, where the log has none.
        classes: in the order of the model's scores.
        prediction: the output that holds the prediction.
        probability: the output that holds the probabilities.
    """

    labels: bool
    names: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    scores: str | tuple[tuple[str, str], ...]
    positive: str = ""
    serving_model: str = ""
    id_from: str = ""
    classes: tuple[str, ...] = ()
    prediction: str = ""
    probability: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """How files are reached and read.

    Attributes:
        storage: how remote ones are reached.
        form: what they are; `auto` goes by their names.
        path_dates: how far, in seconds, a row's time may lie from the date in its file's path; None where paths say nothing.
        delta_version: of a Delta table; None for the newest.
        named: the columns that the configuration speaks of: a folder such as `version=3` is one where it is among them.
        log: of a serving system's records.
    """

    storage: Storage | None = None
    form: str = "auto"
    path_dates: float | None = None
    delta_version: int | None = None
    named: frozenset[str] = frozenset()
    log: Log | None = None


PLAIN = Access()


def access_of(options: Any, model: Model, *, labels: bool = False) -> Access:
    """How the files of some options of a model are read; other plug-ins' options may have a path and nothing else."""
    form = getattr(options, "format", "auto")
    return Access(
        storage=getattr(options, "storage", None),
        form=form,
        path_dates=getattr(options, "path_dates", None),
        delta_version=getattr(options, "delta_version", None),
        named=frozenset(model.columns.names() | set(model.features or ()) | model.apart()),
        log=_log(options, model, labels=labels) if form in LOGS else None,
    )


def _log(options: Any, model: Model, *, labels: bool) -> Log:
    names, said = model.columns, options.log
    score = names.score
    return Log(
        labels=labels,
        names=tuple(model.features or ()),
        columns=tuple(names.model_dump(exclude={"score"}).items()),
        scores=score if isinstance(score, str) else tuple(_pairs(score)),
        positive=model.positive if model.task == "binary" else "",
        **{key: getattr(said, key) for key in ("serving_model", "id_from", "classes", "prediction", "probability")},
    )


def _pairs(mapping: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(mapping.items())
