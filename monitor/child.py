"""Work that is heavy and rare, done in a spawned process that gives its memory back."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")

# What is heavy is done one after the other: two large files at once would take the memory of both.
_ONE_AT_A_TIME = threading.Semaphore(1)


class ChildFailed(Exception):
    """The child died or ran out of time."""


def in_child(function: Callable[..., T], *arguments: object, timeout_seconds: float = 300.0) -> T:
    """Call a function in a fresh process and return what it returns.

    Args:
        function: importable by name, as are its arguments' types.
        arguments: picklable.
        timeout_seconds: real seconds after which the child is killed.

    Raises:
        ChildFailed: it died or was killed.
        Exception: what the function raised.
    """
    with _ONE_AT_A_TIME:
        ok, value = _call(function, arguments, timeout_seconds)
    if ok:
        return value  # type: ignore[no-any-return]
    raise value


def _call(function: Callable[..., Any], arguments: tuple[object, ...], timeout_seconds: float) -> tuple[bool, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, _formatter(), function, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(timeout_seconds):
            raise ChildFailed(f"{function.__name__}: expected an answer within {timeout_seconds:g}s, got none")
        answer: tuple[bool, Any] = ours.recv()
    except EOFError:
        process.join(5)
        raise ChildFailed(f"{function.__name__}: the child process ended with {process.exitcode}") from None
    finally:
        ours.close()
        if process.is_alive():
            process.join(1)
        if process.is_alive():
            process.kill()
            process.join()
    return answer


def _formatter() -> logging.Formatter | None:
    """How this process writes its log, None where nobody has said so."""
    return next((handler.formatter for handler in logging.getLogger().handlers if handler.formatter), None)


def _serve(
    pipe: Connection, formatter: logging.Formatter | None, function: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    # Beside an app, threads that wait for each other are slower than one, and take what is the app's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if formatter is not None:
        # As in the daemon, to the same standard error: whoever reads its log expects one form.
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        answer: tuple[bool, Any] = (True, function(*arguments))
    except Exception as error:  # noqa: BLE001 - it is raised again on the other side
        answer = (False, error)
    pipe.send(answer)
    pipe.close()
