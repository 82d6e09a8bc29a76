"""Maximum mean discrepancy: have vectors moved, in any way a kernel sees?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.records import Direction, FloatArray, IntArray, NoData, Statistic
from monitor.stats._comparison import Comparison, CubeRoot, SquaredGamma, beyond_stretches
from monitor.stats._layout import Layout, lay_out, spread
from monitor.stats._scaling import same_columns

FREQUENCIES = 512  # random Fourier features: a cosine and a sine of each
BATCH = 1000  # rows that are transformed at a time
PAIRED = 500  # rows whose distances tell the bandwidth
PERMUTATIONS = 1000
MOST_BLOCKS = 600
ROUNDING = 1e-7
LEAST = 1e-6
FAR = 1e6  # in units of the reference's largest number: the kernel is 0 long before


def mmd(
    reference: FloatArray, current: FloatArray, rng: np.random.Generator, stretch: IntArray | None = None
) -> Comparison:
    """Distance of the two sides' means in the feature space of a Gaussian kernel, in units of the reference's spread there.

    `√(MMD² / (1 − mean kernel within the reference))`, where MMD² is the mean kernel within the reference and within the window
    less twice that between them; 0 where this is negative, which chance makes it as often as not where nothing has changed. If
    every number moves by a tenth of its standard deviation, the value is about 0.1; in one direction of many it is that much
    smaller. The kernel's bandwidth is the median distance of the reference's rows. Only pairs of rows from different blocks
    count, so that what follows upon each other may be alike. The kernel is that of 512 random Fourier features, so time and
    memory grow with the rows and not with their square. Chance is told by permuting blocks of rows, with a gamma distribution
    in place of the far tail. Sources: Gretton et al., JMLR 13 (2012); Rahimi & Recht, NIPS 2007.

    Args:
        reference: shape (N, d), in order of time; rows in which a number is missing are left out.
        current: shape (n, d), likewise.
        rng: draws the Fourier features and the permutations.
        stretch: by row of the reference, the stretch it belongs to; without it the reference is cut into equal ones.

    Raises:
        NoData: too few rows, different columns, or rows of the reference that are all the same.

    >>> rng = np.random.default_rng(1)
    >>> found = mmd(rng.normal(0, 1, (2000, 4)), rng.normal(0.5, 1, (500, 4)), rng)
    >>> 0.3 < found.value < 0.6, found.p_value < 1e-6
    (True, True)
    """
    same_columns(reference, current)
    whole, current_whole = (np.flatnonzero(np.isfinite(side).all(axis=1)) for side in (reference, current))
    layout = lay_out(len(whole), len(current_whole), None if stretch is None else stretch[whole])
    blocks = Blocks.of(layout)
    places, current_places = whole[layout.reference], current_whole[layout.current]
    kernel = Fourier.drawn(reference[places[spread(len(places), PAIRED)]], rng)
    means = np.vstack(
        [
            kernel.block_means(reference, places, blocks.lengths[: blocks.window]),
            kernel.block_means(current, current_places, blocks.lengths[blocks.window :]),
        ]
    )
    return _compared(means @ means.T, blocks, layout, rng)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Consecutive rows that are taken as one, the stretches' before the window's.

    Attributes:
        lengths: rows of each, shape (b,).
        stretch: the stretch each belongs to, the number of stretches for the window's, shape (b,).
        window: place of the window's first.
    """

    lengths: IntArray
    stretch: IntArray
    window: int

    @classmethod
    def of(cls, layout: Layout) -> Blocks:
        """Blocks of an eighth of the window or a quarter of a stretch, the smaller of both; never too many of them."""
        rows = len(layout.reference) + len(layout.current)
        size = max(min(len(layout.current) // 8, int(np.median(layout.lengths)) // 4), rows // MOST_BLOCKS, 1)
        lengths, stretch = [], []
        for number, length in enumerate([*layout.lengths.tolist(), len(layout.current)]):
            parts = max(round(length / size), 2)
            lengths += [len(part) for part in np.array_split(np.arange(length), parts)]
            stretch += [number] * parts
        return cls(np.array(lengths), np.array(stretch), stretch.index(len(layout.lengths)))


@dataclass(frozen=True, slots=True)
class Fourier:
    """Random Fourier features of a Gaussian kernel `exp(−|x − y|² / 2h²)`: their inner products are the kernel, nearly."""

    unit: float
    center: FloatArray
    frequencies: NDArray[np.float32]

    @classmethod
    def drawn(cls, rows: FloatArray, rng: np.random.Generator) -> Fourier:
        """Draw the features for a bandwidth h that is the median distance of these rows, or the mean one where that is 0.

        Raises:
            NoData: all of the rows are the same.
        """
        largest = float(np.abs(rows).max()) or 1.0
        scaled = rows / largest  # so that squares of huge numbers stay finite
        center = np.median(scaled, axis=0)
        scaled = scaled - center
        squares = (scaled**2).sum(axis=1)
        apart = squares[:, None] + squares - 2 * scaled @ scaled.T
        apart = np.sqrt(np.maximum(apart[np.triu_indices(len(rows), 1)], 0.0))
        bandwidth = float(np.median(apart)) or float(apart.mean())
        if bandwidth < ROUNDING:
            raise NoData("the rows of the reference are all the same")
        frequencies = rng.standard_normal((rows.shape[1], FREQUENCIES)) / bandwidth
        return cls(largest, center, frequencies.astype(np.float32))

    def block_means(self, rows: FloatArray, places: IntArray, lengths: IntArray) -> FloatArray:
        """The mean features of blocks of rows that follow upon each other in `places`, shape (blocks, 2 × frequencies)."""
        sums = np.zeros((len(lengths), 2 * FREQUENCIES))
        block = np.repeat(np.arange(len(lengths)), lengths)
        for first in range(0, len(places), BATCH):
            own = block[first : first + BATCH]
            starts = np.flatnonzero(np.diff(own, prepend=-1))
            sums[own[starts]] += np.add.reduceat(self._waves(rows[places[first : first + BATCH]]), starts, axis=0)
        return sums / math.sqrt(FREQUENCIES) / lengths[:, None]

    def _waves(self, rows: FloatArray) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            moved = np.clip(rows / self.unit - self.center, -FAR, FAR).astype(np.float32)
        phases = moved @ self.frequencies
        return np.hstack([np.cos(phases), np.sin(phases)])


def _compared(inner: FloatArray, blocks: Blocks, layout: Layout, rng: np.random.Generator) -> Comparison:
    """The comparison, from the inner products of the blocks' means."""
    stretches = len(layout.lengths)
    window = (blocks.stretch == stretches).astype(np.float64)[None, :]
    unit = max(1 - float(_within(inner, blocks.lengths, 1 - window)[0]), LEAST)
    own = np.arange(blocks.window)
    each = (blocks.stretch[own] == np.arange(stretches)[:, None]).astype(np.float64)
    among, lengths = inner[np.ix_(own, own)] / unit, blocks.lengths[own]
    held_out = discrepancy(among, lengths, each)
    # Squared distances of means, the noise in them included, are sums of squares: the cube root of such is nearly normal.
    noise = float(np.mean(discrepancy(among, lengths, each, same=True) - held_out))
    chance = discrepancy(inner / unit, blocks.lengths, rng.permuted(np.tile(window, (PERMUTATIONS, 1)), axis=1))
    roots, drawn = (np.cbrt(np.maximum(found + noise, 0.0)) for found in (held_out, chance))
    nulls = (
        _gamma(chance),
        CubeRoot(beyond_stretches(roots, center=math.pow(noise, 1 / 3), least=float(drawn.std())), noise),
    )
    value = math.sqrt(max(float(discrepancy(inner / unit, blocks.lengths, window)[0]), 0.0))
    scores = np.sqrt(np.maximum(held_out, 0.0))
    return Comparison(value, nulls, scores, len(layout.current), len(layout.reference))


def discrepancy(inner: FloatArray, lengths: IntArray, chosen: FloatArray, *, same: bool = False) -> FloatArray:
    """MMD² between the chosen blocks and the others, over pairs of different blocks; shape (repetitions,).

    Args:
        inner: mean kernel between any two blocks, shape (b, b).
        lengths: rows of each, shape (b,).
        chosen: 1 for a block on the one side, 0 on the other; shape (repetitions, b).
        same: whether pairs within one block count as well, which adds what chance moves the means by.
    """
    rows, others = chosen * lengths, (1 - chosen) * lengths
    between = np.einsum("rb,rb->r", rows @ inner, others) / (rows.sum(axis=1) * others.sum(axis=1))
    sides = (_within(inner, lengths, side, same=same) for side in (chosen, 1 - chosen))
    return np.asarray(sum(sides) - 2 * between)


def _within(inner: FloatArray, lengths: IntArray, chosen: FloatArray, *, same: bool = False) -> FloatArray:
    rows = chosen * lengths
    pairs, total = np.einsum("rb,rb->r", rows @ inner, rows), rows.sum(axis=1) ** 2
    if same:
        return np.asarray(pairs / total)
    own = rows**2
    return np.asarray((pairs - own @ np.diag(inner)) / (total - own.sum(axis=1)))


def _gamma(chance: FloatArray) -> SquaredGamma:
    mean, deviation = float(chance.mean()), max(float(chance.std()), 1e-12)
    return SquaredGamma(mean, deviation, float((((chance - mean) / deviation) ** 3).mean()))


STATISTIC = Statistic(
    name="mmd",
    family="drift",
    applies_to=frozenset({"vector"}),
    unit="spreads of the reference",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=mmd,
    default_threshold=0.1,
    default_material=0.05,
    needs="rows",
    rate=0.5,
)
