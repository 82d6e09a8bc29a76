"""Which rows of a reference and of a window are compared, and how they are cut, in order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, IntArray, NoData

FEWEST_ROWS = 40
FEWEST_REFERENCE_ROWS = 200
FEWEST_STRETCHES, USUAL_STRETCHES, MOST_STRETCHES = 8, 12, 24
STRETCH_ROWS = 25  # fewer would tell nothing
FOLDS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows that are compared.

    Attributes:
        reference: places of the reference's rows, stretch after stretch, each in order of time; shape (N,).
        current: places of the window's rows in order of time; shape (n,).
        lengths: rows of each stretch, shape (K,).
    """

    reference: IntArray
    current: IntArray
    lengths: IntArray

    @property
    def stretches(self) -> list[slice]:
        """Where each stretch lies among the reference's rows."""
        ends = np.cumsum(self.lengths)
        return [slice(int(end - length), int(end)) for end, length in zip(ends, self.lengths, strict=True)]

    @property
    def targets(self) -> list[slice]:
        """The stretches, and the window as one more behind them."""
        rows = len(self.reference)
        return [*self.stretches, slice(rows, rows + len(self.current))]


def lay_out(rows: int, current_rows: int, stretch: IntArray | None = None, *, alike: bool = False) -> Layout:
    """Cut a reference into stretches with no more rows than the window, so that none is better known than the window is.

    Args:
        rows: of the reference, in order of time.
        current_rows: of the window.
        stretch: by row of the reference, the number of the stretch it belongs to, rising, or -1 for none; without it the
            reference is cut into equal ones. Stretches of fewer than 25 rows are left out, and of more than 24 some.
        alike: whether the window is thinned to the rows of a stretch: what learns from the window must not learn more from it.

    Raises:
        NoData: either side has too few rows; says how many would be enough.

    >>> layout = lay_out(6000, 400)
    >>> layout.lengths.tolist() == [400] * 15, len(lay_out(6000, 5000, alike=True).current)
    (True, 500)
    """
    if not rows or not current_rows:
        raise NoData("no rows to compare")
    if current_rows < FEWEST_ROWS:
        raise NoData(f"expected at least {FEWEST_ROWS} rows, got {current_rows}")
    if rows < FEWEST_REFERENCE_ROWS:
        raise NoData(f"expected at least {FEWEST_REFERENCE_ROWS} rows in the reference, got {rows}")
    ids = cut_evenly(rows, current_rows) if stretch is None else stretch
    cuts = np.flatnonzero(np.diff(ids)) + 1
    pieces = [p for p in np.split(np.arange(rows), cuts) if ids[p[0]] >= 0 and len(p) >= STRETCH_ROWS]
    if len(pieces) < FEWEST_STRETCHES:
        raise NoData(
            f"expected at least {FEWEST_STRETCHES} stretches of {STRETCH_ROWS} rows in the reference, got {len(pieces)}"
        )
    pieces = [pieces[place] for place in spread(len(pieces), MOST_STRETCHES)]
    pieces = [piece[spread(len(piece), current_rows)] for piece in pieces]
    lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
    current = spread(current_rows, int(np.median(lengths)) if alike else current_rows)
    return Layout(np.concatenate(pieces), current, lengths)


def cut_evenly(rows: int, current_rows: int) -> IntArray:
    """Number of the stretch of each row of a reference that is cut into equal ones; -1 for a row that is in none.

    There are twelve, or up to 24 where the window is so small that they need not be longer than it; eight of a small reference.

    >>> np.unique(cut_evenly(1000, 50), return_counts=True)[1].tolist()
    [50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50]
    """
    number = min(max(rows // max(current_rows, 1), USUAL_STRETCHES), MOST_STRETCHES)
    number = max(min(number, rows // STRETCH_ROWS), FEWEST_STRETCHES)
    place = np.arange(rows) * number
    inside = place % rows // number  # places within the stretch
    return np.where(inside < current_rows, place // rows, -1)


def spread(rows: int, most: int) -> IntArray:
    """Places of at most so many rows, evenly spread over all of them.

    >>> spread(10, 4).tolist(), spread(3, 4).tolist()
    ([0, 2, 5, 7], [0, 1, 2])
    """
    if rows <= most:
        return np.arange(rows)
    return np.arange(most) * rows // most


def block_means(values: FloatArray, blocks: int) -> FloatArray:
    """Means of consecutive blocks of (almost) equally many rows, shape (blocks,)."""
    return np.array([part.mean() for part in np.array_split(values, blocks)])


def blocks_of(rows: int) -> int:
    """Into how many blocks a window is cut: of twelve rows or more, but eight to sixteen of them.

    >>> blocks_of(40), blocks_of(120), blocks_of(5000)
    (8, 10, 16)
    """
    return min(max(rows // 12, 8), 16)


def parts_of(layout: Layout) -> IntArray:
    """First row of every part, and the end of the last: each stretch and the window have `FOLDS` parts, in order of time.

    >>> parts_of(lay_out(200, 40))[:6].tolist()
    [0, 6, 12, 18, 25, 31]
    """
    starts = [np.linspace(t.start, t.stop, FOLDS + 1).astype(np.int64)[:-1] for t in layout.targets]
    return np.append(np.concatenate(starts), len(layout.reference) + len(layout.current))
