"""whylogs: a profile of a frame. It has no verdict without its paid service's monitors, so only its speed is measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"

import whylogs
from _job import Job, main


def profile(job: Job) -> Callable[[], Any]:
    """The current rows; the reference would be profiled once, and kept."""
    return lambda: whylogs.log(job.current).profile().view()


if __name__ == "__main__":
    sys.exit(main("whylogs", None, {"profile": profile}))
