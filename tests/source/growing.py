"""Folders of prediction files by day, in every form, and which files of a folder are opened."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from monitor.config import Model
from monitor.records import Window
from monitor.source import files
from monitor.source._index import forget
from monitor.source._left_out import LeftOut
from monitor.source.files import FilesSource
from tests.source.worlds import DAY, START, log, model

FORMS = ["parquet", "csv", "jsonl"]
IN_OPEN = 0x20


def day(number: int) -> Window:
    return Window(START + number * DAY, START + (number + 1) * DAY)


def frame(number: int, rows: int = 40) -> pd.DataFrame:
    """The predictions of one day."""
    return log(rows, seed=number, days=1, start=START + number * DAY).assign(model_version="1")


def write(made: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        made.to_parquet(path)
    elif path.suffix == ".csv":
        made.to_csv(path, index=False)
    else:
        made.to_json(path, orient="records", lines=True, date_format="iso")
    return path


def settle(*paths: Path, seconds: float = 3600) -> None:
    """As if they had been written some time ago."""
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


def damage(path: Path, column: str) -> None:
    """Spoil a page of a column of a Parquet file; its footer and all other columns are whole."""
    found = pq.read_metadata(path)
    place = found.schema.names.index(column)
    told = found.row_group(0).column(place)
    start = told.dictionary_page_offset or told.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    settle(path)


@contextmanager
def failing(path: Path) -> Iterator[None]:
    """As if the disk had lost what stands in a file: root may read all others."""
    pread = os.pread

    def lost(descriptor: int, number: int, place: int) -> bytes:
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, number, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", lost)
        yield


def watched(folder: Path, path: str = "log", **more: Any) -> Model:
    section = {"type": "files", "path": path, **more.pop("predictions", {})}
    return model(folder, predictions=section, **more)


def source(folder: Path, path: str = "log", **more: Any) -> FilesSource:
    found = watched(folder, path, **more)
    return files.open_source(found.predictions, found.labels, found, folder)


def rows(looked: FilesSource, window: Window) -> int:
    return sum(profile.rows for profile in looked.profiles(window, lambda _: None).values())


def left_out(looked: FilesSource) -> dict[str, LeftOut]:
    """What was left out, by name."""
    return {each.name: each for each in looked.left_out.values()}


def anew() -> None:
    """As a process that has just started: only what is on the disk is known."""
    from monitor.source._footers import _FOOTERS

    forget()
    _FOOTERS.clear()


@contextmanager
def opened(*folders: Path) -> Iterator[list[str]]:
    """The names of the files that are opened in some folders meanwhile, as the kernel tells; once for each time."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    for folder in folders:
        assert libc.inotify_add_watch(watch, os.fsencode(folder), IN_OPEN) >= 0, os.strerror(ctypes.get_errno())
    names: list[str] = []
    try:
        yield names
    finally:
        try:
            while data := os.read(watch, 1 << 20):
                while data:
                    _, _, _, length = struct.unpack_from("iIII", data)
                    name = data[16 : 16 + length].rstrip(b"\0").decode()
                    names += [name] if name else []  # without one, it is the folder itself
                    data = data[16 + length :]
        except BlockingIOError:
            os.close(watch)
