"""Texts whose last line is only the beginning of one, where reading it does not tell."""

from __future__ import annotations

import time as clock
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from monitor.source import SourceError
from monitor.source._chosen import is_settled
from monitor.source._index import Entry
from monitor.source._left_out import CannotRead, Reason
from monitor.source._paths import File

if TYPE_CHECKING:
    from monitor.source._shapes import TextSurvey

Surveyed = tuple[Entry, bytes | None]


def text_of(texts: TextSurvey, file: File, reader: str, time: str) -> Surveyed:
    """What is in a text; where its last line is torn in a way that reading it does not tell, what is in those before it.

    Lines of JSON look whole where they are cut behind a brace within one. A CSV whose last line lacks columns is taken for
    one that is divided in another way, or not at all.
    """
    settled = is_settled(file)
    if settled and reader == "read_csv" and (lines := _ended(file)):
        with suppress(CannotRead):
            return _csv_of(file, lines, time)
    try:
        return texts.of(file, settled=settled)
    except CannotRead as problem:
        if problem.reason is Reason.UNREADABLE and file.path.endswith(".json") and (lines := _ended(file)):
            with suppress(CannotRead):
                return _torn(file, texts.of(lines, settled=False), told=settled)
        raise


def _csv_of(file: File, lines: File, time: str) -> Surveyed:
    from monitor.source._shapes import TextSurvey, text_shape

    # By itself: how a torn one seems to be divided must not be tried with the next.
    with closing(TextSurvey("read_csv", time)) as texts:
        before, found = texts.of(lines, settled=False), texts.of(file, settled=True)
    names = [list(text_shape(shape).types) for _, shape in (before, found) if shape is not None]
    return found if names[0] == names[-1] else _torn(file, before, told=True)


def _ended(file: File) -> File | None:
    """The lines of a text that have an end, as a file; None where that is all of it, or nothing."""
    from monitor.source._bytes import whole_lines

    size = 0
    with suppress(SourceError):  # reading it will tell
        size = 0 if file.path.endswith(".gz") else whole_lines(file)
    # As if it were being written now: only so it is read no further.
    return replace(file, size=size, modified=clock.time()) if 0 < size < file.size else None


def _torn(file: File, lines: Surveyed, *, told: bool) -> Surveyed:
    said = f"{file.name}: expected a whole last line, got the beginning of one" if told else ""
    return msgspec.structs.replace(lines[0], problem=said), lines[1]
