"""References as bytes."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from monitor.profile import Bins, CategoricalBins, ColumnProfile, NumericBins, Reference, Seasons, Stretches
from monitor.records import Column, ColumnKind, Role

FORMAT = 3


def pack(array: Any) -> list[Any]:
    """An array as what msgpack takes; whole numbers take no more room than the largest of them needs."""
    found = np.ascontiguousarray(array)
    if found.dtype == np.int64:
        small = next(
            (kind for kind in (np.uint8, np.uint16, np.uint32) if found.size == 0 or _fits(found, np.iinfo(kind).max)),
            None,
        )
        found = found if small is None else found.astype(small)
    return [found.dtype.str, list(found.shape), found.tobytes()]


def _fits(array: Any, most: int) -> bool:
    return int(array.min()) >= 0 and int(array.max()) <= most


def unpack(packed: list[Any]) -> Any:
    """The inverse of `pack`: whole numbers are int64 again."""
    kind, shape, body = packed
    array = np.frombuffer(body, dtype=np.dtype(kind)).reshape(shape)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array.copy()


def encode_reference(reference: Reference) -> bytes:
    """A reference as bytes, without its stretches."""
    columns = [
        [
            column.name,
            column.kind.value,
            column.importance,
            column.role.value,
            _encode_bins(reference.bins.get(column.name)),
            _encode_column(reference.profiles.get(column.name)),
            reference.unusable.get(column.name),
        ]
        for column in reference.columns
    ]
    seasons = None
    if reference.seasons is not None:
        held = {name: pack(counts) for name, counts in reference.seasons.counts.items()}
        seasons = [pack(reference.seasons.rows), held]
    about = [reference.fingerprint, reference.version, reference.rows, reference.match]
    # That of the labels is of one column: its stretches are no burden.
    labels = reference.labels
    later = None
    if labels is not None:
        later = [encode_reference(labels), None if labels.stretches is None else encode_stretches(labels.stretches)]
    return zlib.compress(msgspec.msgpack.encode([FORMAT, *about, columns, seasons, later]), 1)


def _encode_bins(bins: Bins | None) -> list[Any] | None:
    if bins is None:
        return None
    if isinstance(bins, NumericBins):
        return [pack(bins.edges), pack(bins.groups), [bins.center, bins.low, bins.high]]
    return [list(bins.categories), pack(bins.groups), []]


def _encode_column(profile: ColumnProfile | None) -> list[Any] | None:
    if profile is None:
        return None
    whole = [profile.missing, profile.absent, profile.unseen, *profile.infinities, *profile.outside]
    real = [profile.low, profile.high, profile.shift, profile.squares, *profile.clipped]
    return [pack(profile.counts), pack(profile.sums), whole, real]


def decode_reference(body: bytes) -> Reference:
    """The inverse of `encode_reference`."""
    _, fingerprint, version, rows, match, listed, held, later = msgspec.msgpack.decode(zlib.decompress(body))
    columns, bins, found, unusable = [], {}, {}, {}
    for name, kind, importance, role, drawn, profile, reason in listed:
        columns.append(Column(name, ColumnKind(kind), importance, Role(role)))
        if reason is not None:
            unusable[name] = reason
        if drawn is not None:
            bins[name] = _bins(ColumnKind(kind), *drawn)
        if profile is not None:
            found[name] = _decode_column(*profile)
    seasons = None
    if held is not None:
        seasons = Seasons(unpack(held[0]), {name: unpack(counts) for name, counts in held[1].items()})
    labels = None
    if later is not None:
        labels = replace(decode_reference(later[0]), stretches=None if later[1] is None else decode_stretches(later[1]))
    return Reference(
        fingerprint, version, rows, tuple(columns), bins, found, unusable,
        match=tuple(match), seasons=seasons, labels=labels,
    )  # fmt: skip


def _decode_column(counts: list[Any], sums: list[Any], whole: list[int], real: list[float]) -> ColumnProfile:
    missing, absent, unseen, minus, plus, below, above = whole
    low, high, shift, squares, first, last = real
    return ColumnProfile(
        unpack(counts), unpack(sums), missing, absent, unseen, low, high, shift, squares,
        (minus, plus), (below, above), (first, last),
    )  # fmt: skip


def _bins(kind: ColumnKind, edges: list[Any], groups: list[Any], about: list[float]) -> Bins:
    if kind is ColumnKind.NUMERIC:
        return NumericBins(unpack(edges), unpack(groups), *about)
    return CategoricalBins(tuple(edges), unpack(groups))


def encode_stretches(cut: Stretches) -> bytes:
    """The stretches of a reference as bytes."""
    tables = [{name: pack(table) for name, table in found.items()} for found in (cut.counts, cut.sums, cut.expected)]
    body = [FORMAT, cut.seconds, pack(cut.rows), *tables, pack(cut.composed), pack(cut.cell_rows), cut.dated]
    return zlib.compress(msgspec.msgpack.encode(body), 1)


def decode_stretches(body: bytes) -> Stretches:
    """The inverse of `encode_stretches`."""
    _, seconds, rows, *tables, composed, cell_rows, dated = msgspec.msgpack.decode(zlib.decompress(body))
    counts, sums, expected = ({name: unpack(table) for name, table in found.items()} for found in tables)
    return Stretches(seconds, unpack(rows), counts, sums, expected, unpack(composed), unpack(cell_rows), dated)
