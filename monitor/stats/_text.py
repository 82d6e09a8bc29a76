"""Texts as numbers: simple descriptors, and hashed n-grams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.records import FloatArray, IntArray, ObjectArray
from monitor.stats._encoding import turns_of, unseen_elsewhere

DESCRIPTORS = ("characters", "words", "mean_word_length", "non_letters", "unseen_words", "empty")
LONGEST = 10_000  # so many characters of a text are described
HASHED = 400  # and so many are cut into n-grams
BITS = 14
GRAMS = 1 << BITS
BATCH = 1000

HashArray = NDArray[np.uint64]


def text_descriptors(values: ObjectArray) -> dict[str, FloatArray]:
    """What can be told of a text without knowing others, by name; each of shape (n,), NaN where there is no text.

    `characters` and `words` count, `mean_word_length` is in characters (0 without words), `non_letters` the share of characters
    other than letters and white space, `empty` is 1 for a text of nothing but white space. Of a text longer than 10,000
    characters only these are looked at.

    >>> found = text_descriptors(np.array(["two words", None, ""], dtype=object))
    >>> found["words"].tolist(), found["empty"].tolist()
    ([2.0, nan, 0.0], [0.0, nan, 1.0])
    """
    rows = [_described(value) for value in values.tolist()]
    names = [name for name in DESCRIPTORS if name != "unseen_words"]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    return {name: columns[:, place] for place, name in enumerate(names)}


def _described(value: str | None) -> tuple[float, ...]:
    if value is None:
        return (math.nan,) * 5
    text = value[:LONGEST]
    words = text.split()
    letters = sum(map(str.isalpha, text))
    solid = sum(map(len, words))
    return (
        float(len(value)),
        float(len(words)),
        solid / len(words) if words else 0.0,
        (solid - letters) / len(text) if text else 0.0,
        float(not words),
    )


def describe_both(
    reference: ObjectArray, current: ObjectArray, stretch: IntArray
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """The descriptors of both sides, `unseen_words` among them: the share of a text's words no other stretch holds.

    Args:
        reference: texts, None where missing, shape (N,).
        current: likewise, shape (n,).
        stretch: by row of the reference, the number of its stretch.
    """
    before, after = text_descriptors(reference), text_descriptors(current)
    before["unseen_words"], after["unseen_words"] = _unseen_words(reference, current, stretch)
    return before, after


def _unseen_words(reference: ObjectArray, current: ObjectArray, stretch: IntArray) -> tuple[FloatArray, FloatArray]:
    held, new = _words(reference), _words(current)
    lengths, new_lengths = [len(words) for words in held], [len(words) for words in new]
    before, after = unseen_elsewhere(
        [word for words in held for word in words],
        [word for words in new for word in words],
        np.repeat(stretch, lengths),
        np.repeat(turns_of(len(new), stretch), new_lengths),
    )
    return _shares(before, lengths, reference), _shares(after, new_lengths, current)


def _words(values: ObjectArray) -> list[list[str]]:
    return [[] if value is None else value[:LONGEST].lower().split() for value in values.tolist()]


def _shares(unseen: FloatArray, lengths: Sequence[int], values: ObjectArray) -> FloatArray:
    row = np.repeat(np.arange(len(lengths)), lengths)
    found = np.bincount(row, weights=unseen, minlength=len(lengths)) / np.maximum(lengths, 1)
    return np.where([value is None for value in values.tolist()], np.nan, found)


def hashed_ngrams(values: ObjectArray) -> Any:
    """Which three characters in a row and which words a text holds: a sparse matrix of shape (n, 2¹⁴), of rows of length 1.

    Case and the kind of white space don't count. Each n-gram is hashed to one of the columns, an entry is the root of how
    often it occurs. Only the first 400 characters are looked at. A missing text is a row of zeros.

    >>> found = hashed_ngrams(np.array(["some text", "Some  TEXT", None], dtype=object)).toarray()
    >>> bool((found[0] == found[1]).all()), float(found[2].sum())
    (True, 0.0)
    """
    from scipy.sparse import csr_matrix, vstack

    empty = csr_matrix((0, GRAMS), dtype=np.float32)
    parts = [_grams_of(values[first : first + BATCH]) for first in range(0, len(values), BATCH)]
    return vstack(parts, format="csr") if parts else empty


def _grams_of(values: ObjectArray) -> Any:
    from scipy.sparse import csr_matrix

    texts = [" " + " ".join(("" if value is None else value[:HASHED]).lower().split()) + " " for value in values]
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    row = np.cumsum(codes == ord("\n"))
    three = _threes(codes)
    starts, words = _word_hashes(codes)
    keys = np.concatenate([row[three[0]] * GRAMS + three[1], row[starts] * GRAMS + words])
    found, counts = np.unique(keys, return_counts=True)
    rows, columns = found // GRAMS, found % GRAMS
    lengths = np.sqrt(np.bincount(rows, weights=counts, minlength=len(values)))
    entries = (np.sqrt(counts) / lengths[rows]).astype(np.float32)
    return csr_matrix((entries, (rows, columns)), shape=(len(values), GRAMS))


def _threes(codes: HashArray) -> tuple[IntArray, IntArray]:
    """Where three characters of one text begin, and their hashes."""
    if len(codes) < 3:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    first, second, third = codes[:-2], codes[1:-1], codes[2:]
    end = np.uint64(ord("\n"))
    whole = np.flatnonzero((first != end) & (second != end) & (third != end))
    mixed = (first * np.uint64(0x1F35) + second) * np.uint64(0x25D3B) + third
    return whole, _folded(mixed[whole])


def _word_hashes(codes: HashArray) -> tuple[IntArray, IntArray]:
    """Where words begin, and their hashes."""
    solid = (codes != ord(" ")) & (codes != ord("\n"))
    starts = np.flatnonzero(solid & ~np.append(False, solid[:-1]))
    if not len(starts):
        return starts, np.empty(0, dtype=np.int64)
    inside = np.flatnonzero(solid)
    word = np.searchsorted(starts, inside, side="right") - 1
    powers = np.cumprod(np.full(HASHED, 0x100000001B3, dtype=np.uint64))
    weighted = (codes[inside] + np.uint64(1)) * powers[inside - starts[word]]
    sums = np.add.reduceat(weighted, np.searchsorted(inside, starts))
    return starts, _folded(sums ^ np.uint64(0x9E3779B97F4A7C15))


def _folded(mixed: HashArray) -> IntArray:
    """The upper bits of a multiplicative hash (Knuth), which every bit of the input has a part in."""
    mixed = mixed ^ (mixed >> np.uint64(29))
    return ((mixed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - BITS)).astype(np.int64)
