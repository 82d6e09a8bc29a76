"""When things run: APScheduler says the time, a small pool of threads does the work, and nothing overlaps itself."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

log = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.05
JUMP_SECONDS = 2.0  # a step of the machine's clock that is more than its usual corrections
# So many threads do each kind of work, so that what hangs holds up its own kind at most.
LANES = {"look": 8, "judge": 3, "keep": 1}


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock of the watch: it stood at `start` when the machine's clock stood at `origin`, and runs `rate` times as fast.

    With the defaults it is the machine's clock.

    >>> WallClock(start=100.0, rate=60.0, origin=time.time() - 1).now() >= 160
    True
    """

    start: float = 0.0
    rate: float = 1.0
    origin: float = 0.0

    def now(self) -> float:
        """Unix seconds on this clock."""
        return self.start + self.rate * (time.time() - self.origin)

    def real(self, moment: float) -> float:
        """When the machine's clock shows that this clock stands at `moment`."""
        return self.origin + (moment - self.start) / self.rate


class _At(BaseTrigger):  # type: ignore[misc]
    """Fires at the moments that a function names: given the real time, the next one after it."""

    def __init__(self, following: Callable[[float], float]) -> None:
        self.following = following

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        # Always after now, never after the last due time: a run that was late is run once, not once for each it missed.
        earliest = now.timestamp() + (SHORTEST_SECONDS if previous_fire_time else 0.0)
        return datetime.fromtimestamp(max(self.following(now.timestamp()), earliest), UTC)


class _Job:
    """One thing that is run again and again, never beside itself."""

    def __init__(self, name: str, lane: str, work: Callable[[], None], late: Callable[[], None]) -> None:
        self.name, self.lane, self.work, self.late = name, lane, work, late
        self.lock = threading.Lock()
        self.running = False
        self.again = False
        self.stopped = False

    def begin(self) -> bool:
        """Whether to start now; if it is still running, it will be run once more after."""
        with self.lock:
            if self.stopped:
                return False
            if self.running:
                self.again = True
            else:
                self.running = True
                return True
        self.late()
        return False

    def finish(self) -> bool:
        """Whether to run once more, for what came due meanwhile."""
        with self.lock:
            self.running, again = self.again and not self.stopped, self.again
            self.again = False
            return again and not self.stopped


class Scheduler:
    """Runs jobs at their times. Start it once; after `stop` it is done."""

    def __init__(self, clock: WallClock, *, jitter_seconds: float = 0.5) -> None:
        self._clock = clock
        self._jitter = jitter_seconds
        self._jobs: dict[str, _Job] = {}
        self._work: dict[str, queue.SimpleQueue[_Job | None]] = {lane: queue.SimpleQueue() for lane in LANES}
        self._timer = BackgroundScheduler(
            timezone=UTC,
            executors={"default": DebugExecutor()},
            # Never dropped for being late: the job itself decides what late means.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._timer.add_listener(_log_error, EVENT_JOB_ERROR)
        self._stopping = threading.Event()
        # Daemon threads: a peer that hangs must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"{lane}-{number}", daemon=True)
            for lane, count in LANES.items()
            for number in range(count)
        ]
        self._threads.append(threading.Thread(target=self._watch_clock, name="clock-watch", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self._timer.start()

    def every(
        self, name: str, seconds: float, work: Callable[[], None], late: Callable[[], None], *, lane: str = "look"
    ) -> None:
        """Run `work` at once and then every so many clock seconds; `late` is told when a run had to wait for the last."""
        step = max(seconds / self._clock.rate, SHORTEST_SECONDS)
        phase = self._spread(step)
        self._add(name, lane, lambda now: (now - phase) // step * step + step + phase, work, late)

    def at(
        self,
        name: str,
        following: Callable[[float], float],
        work: Callable[[], None],
        late: Callable[[], None],
        *,
        lane: str = "judge",
    ) -> None:
        """Run `work` at once and then at the clock times that `following` names, each the next one after its argument."""
        spread = self._spread(2 * self._jitter)

        def real(now: float) -> float:
            moment = self._clock.start + self._clock.rate * (now - spread - self._clock.origin)
            return self._clock.real(following(moment)) + spread

        self._add(name, lane, real, work, late)

    def _spread(self, at_most: float) -> float:
        """A share of the jitter, so that a fleet's daemons don't all knock at once."""
        return random.uniform(0, min(self._jitter, at_most))

    def _add(
        self,
        name: str,
        lane: str,
        following: Callable[[float], float],
        work: Callable[[], None],
        late: Callable[[], None],
    ) -> None:
        job = self._jobs[name] = _Job(name, lane, work, late)
        self._timer.add_job(self._fire, _At(following), args=(job,), id=name, next_run_time=datetime.now(UTC))

    def soon(self, names: Collection[str]) -> None:
        """Run some jobs at once, and from then on at their times."""
        for job in self._timer.get_jobs():
            if job.id in names:
                job.modify(next_run_time=datetime.now(UTC))

    def clear(self) -> None:
        """Take all jobs off; those that are running end by themselves."""
        self._timer.remove_all_jobs()
        for job in self._jobs.values():
            job.stopped = True
        self._jobs = {}

    def stop(self, *, patience_seconds: float) -> list[str]:
        """Stop firing and wait for what runs; the names of the jobs that were abandoned."""
        jobs = list(self._jobs.values())
        self._stopping.set()
        self.clear()
        if self._timer.running:
            self._timer.shutdown(wait=False)
        until = time.monotonic() + patience_seconds
        waiting = threading.Event()
        while time.monotonic() < until and any(job.running for job in jobs):
            waiting.wait(0.02)
        for lane, count in LANES.items():
            for _ in range(count):
                self._work[lane].put(None)
        return [job.name for job in jobs if job.running]

    def _watch_clock(self) -> None:
        """Set the timer anew when the machine's clock jumps: after a step back, it would sleep for as long as that was."""
        offset = time.time() - time.monotonic()
        while not self._stopping.wait(1.0):
            now = time.time() - time.monotonic()
            if abs(now - offset) > JUMP_SECONDS:
                log.warning("clock jumped", extra={"seconds": round(now - offset, 1)})
                self.set_anew()
            offset = now

    def set_anew(self) -> None:
        """Run every job at once, and from then on at the times that follow from the clock as it is now."""
        for job in self._timer.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def _fire(self, job: _Job) -> None:
        if job.begin():
            self._work[job.lane].put(job)

    def _run(self, lane: str) -> None:
        while (job := self._work[lane].get()) is not None:
            try:
                job.work()
            except Exception:
                # The edge of one run: the thread has other jobs to do.
                log.exception("job failed", extra={"job": job.name})
            finally:
                if job.finish():
                    self._work[lane].put(job)


def _log_error(event: JobExecutionEvent) -> None:
    log.error("timer failed", extra={"job": event.job_id, "error": str(event.exception)})
