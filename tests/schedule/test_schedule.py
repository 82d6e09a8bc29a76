"""When things run: on time, never beside themselves, late ones once, and nothing holds up the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.schedule import LANES, Scheduler, WallClock

PATIENCE = 10.0  # what a test waits at most for what should take milliseconds
FAR = 1e9


def nothing() -> None:
    """Nobody wants to know of late runs."""


class Job:
    """Work that counts its runs and can be held up; it would notice if it ran beside itself."""

    def __init__(self, *, held: bool = False) -> None:
        self.runs = 0
        self.lates = 0
        self.overlapped = False
        self._inside = 0
        self._changed = threading.Condition()
        self._gate = threading.Event()
        if not held:
            self._gate.set()

    def __call__(self) -> None:
        with self._changed:
            self._inside += 1
            self.runs += 1
            self.overlapped |= self._inside > 1
            self._changed.notify_all()
        self._gate.wait(PATIENCE)
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def late(self) -> None:
        with self._changed:
            self.lates += 1
            self._changed.notify_all()

    def release(self) -> None:
        self._gate.set()

    def await_that(self, condition: Callable[[Job], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE), (self.runs, self.lates)


class Moments:
    """The next of some moments, and whether all of them have come: an hour for those that can't wait."""

    def __init__(self, *moments: float) -> None:
        self.moments = moments
        self.over = threading.Event()

    def __call__(self, now: float) -> float:
        left = [moment for moment in self.moments if moment > now]
        if not left:
            self.over.set()
        return left[0] if left else now + FAR


@pytest.fixture
def clock() -> WallClock:
    """A clock a hundred times as fast as the machine's."""
    return WallClock(start=1_000_000.0, rate=100.0, origin=time.time())


@pytest.fixture
def scheduler(clock: WallClock) -> Iterator[Scheduler]:
    made = Scheduler(clock, jitter_seconds=0.0)
    made.start()
    yield made
    made.stop(patience_seconds=PATIENCE)


# --- the clock --------------------------------------------------------------------------------------------------------


def test_by_default_the_clock_is_the_machines() -> None:
    before = time.time()
    now = WallClock().now()
    assert before <= now <= time.time()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.floats(0, 4e9), some.floats(0.1, 1e6), some.floats(-1e6, 1e6))
def test_a_clock_stood_at_its_start_at_its_origin_and_runs_at_its_rate(start: float, rate: float, ago: float) -> None:
    origin = time.time() - ago
    clock = WallClock(start, rate, origin)
    before, now, after = time.time(), clock.now(), time.time()
    slack = 1e-6 * (abs(start) + rate * abs(ago) + 1)
    assert start + rate * (before - origin) - slack <= now <= start + rate * (after - origin) + slack
    assert clock.real(start) == origin
    assert clock.real(start + rate) == pytest.approx(origin + 1, abs=1e-3)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.floats(0, 4e9), some.floats(1, 1e4), some.floats(0, 1e6))
def test_the_real_time_of_a_moment_is_when_the_clock_shows_it(start: float, rate: float, later: float) -> None:
    clock = WallClock(start, rate, origin=time.time())
    real = clock.real(start + later)
    assert start + rate * (real - clock.origin) == pytest.approx(start + later, abs=1e-2 * rate)


# --- running ----------------------------------------------------------------------------------------------------------


def test_a_job_runs_at_once_and_then_again_and_again(scheduler: Scheduler) -> None:
    job = Job()
    scheduler.every("job", 5.0, job, job.late)  # clock seconds: 50 real milliseconds
    job.await_that(lambda job: job.runs >= 4)


def test_an_interval_is_in_seconds_of_the_clock(scheduler: Scheduler, clock: WallClock) -> None:
    """The first run comes at once and the second on a multiple of the interval; from then on none comes early."""
    times, begin = [], clock.now()
    done = threading.Event()

    def note() -> None:
        times.append(clock.now())
        if len(times) == 4:
            done.set()

    scheduler.every("job", 30.0, note, nothing)
    assert done.wait(PATIENCE)
    assert times[3] - begin >= 2 * 30 - 0.1


def test_no_job_runs_beside_itself_and_late_runs_are_told(scheduler: Scheduler) -> None:
    job = Job(held=True)
    scheduler.every("job", 5.0, job, job.late)
    job.await_that(lambda job: job.lates >= 3)
    assert job.runs == 1
    job.release()
    job.await_that(lambda job: job.runs >= 3)
    assert not job.overlapped


def test_runs_that_came_due_meanwhile_are_made_up_for_by_one(scheduler: Scheduler, clock: WallClock) -> None:
    """Neither dropped nor piled up: three were missed, one follows."""
    job, now = Job(held=True), clock.now()
    moments = Moments(now + 10, now + 20, now + 30)
    scheduler.at("job", moments, job, job.late)
    assert moments.over.wait(PATIENCE)
    job.await_that(lambda job: job.lates >= 1)
    assert job.runs == 1
    job.release()
    job.await_that(lambda job: job.runs == 2)
    assert scheduler.stop(patience_seconds=PATIENCE) == []
    assert job.runs == 2


def test_a_run_on_time_is_not_late(scheduler: Scheduler, clock: WallClock) -> None:
    job, now = Job(), clock.now()
    scheduler.at("job", Moments(now + 40, now + 80), job, job.late)
    job.await_that(lambda job: job.runs == 3)
    assert job.lates == 0


def test_at_follows_its_function(scheduler: Scheduler, clock: WallClock) -> None:
    """It is asked with the clock's time, and what it names is not run before."""
    now = clock.now()
    planned, times, done = [now + 30, now + 55, now + 70], [], threading.Event()

    def note() -> None:
        times.append(clock.now())
        if len(times) == 4:
            done.set()

    scheduler.at("job", Moments(*planned), note, nothing)
    assert done.wait(PATIENCE)
    assert times[0] < planned[0]
    assert all(time >= moment - 0.1 for time, moment in zip(times[1:], planned, strict=True))


def test_a_job_that_raises_goes_on(scheduler: Scheduler) -> None:
    runs, again = [], threading.Event()

    def breaks() -> None:
        runs.append(1)
        if len(runs) >= 3:
            again.set()
        raise ValueError("again")

    scheduler.every("job", 5.0, breaks, nothing)
    assert again.wait(PATIENCE)


def test_a_job_that_hangs_holds_up_no_other_one(scheduler: Scheduler) -> None:
    hung, other = Job(held=True), Job()
    scheduler.every("hung", 5.0, hung, hung.late)
    scheduler.every("other", 5.0, other, other.late)
    hung.await_that(lambda job: job.lates >= 2)
    other.await_that(lambda job: job.runs >= 3)
    hung.release()


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_full_of_jobs_that_hang_holds_up_no_other_lane(scheduler: Scheduler, lane: str) -> None:
    """What hangs holds up its own kind at most: looks at apps, judgements of models, the housekeeping."""
    hung, waits = [Job(held=True) for _ in range(LANES[lane])], Job()
    others = {name: Job() for name in LANES if name != lane}
    for place, job in enumerate(hung):
        scheduler.every(f"hung {place}", 5.0, job, job.late, lane=lane)
    for job in hung:
        job.await_that(lambda job: job.runs == 1)
    scheduler.every("waits", 5.0, waits, waits.late, lane=lane)
    for name, job in others.items():
        scheduler.every(f"other {name}", 5.0, job, job.late, lane=name)
    for job in others.values():
        job.await_that(lambda job: job.runs >= 3)
    waits.await_that(lambda job: job.lates >= 1)
    assert waits.runs == 0
    for job in hung:
        job.release()
    waits.await_that(lambda job: job.runs >= 1)


def test_looks_and_judgements_have_lanes_of_their_own_without_being_told(scheduler: Scheduler) -> None:
    looks, judgement = [Job(held=True) for _ in range(LANES["look"])], Job()
    for place, job in enumerate(looks):
        scheduler.every(f"look {place}", 5.0, job, job.late)
    for job in looks:
        job.await_that(lambda job: job.runs == 1)
    scheduler.at("judgement", Moments(), judgement, judgement.late)
    judgement.await_that(lambda job: job.runs == 1)
    for job in looks:
        job.release()


# --- jumps of the machine's clock -------------------------------------------------------------------------------------


def test_when_the_machines_clock_jumps_every_job_runs_at_once(scheduler: Scheduler) -> None:
    jobs = [Job() for _ in range(4)]
    scheduler.at("first", Moments(), jobs[0], jobs[0].late)
    scheduler.at("second", Moments(), jobs[1], jobs[1].late, lane="look")
    scheduler.every("third", FAR, jobs[2], jobs[2].late)
    scheduler.every("fourth", FAR, jobs[3], jobs[3].late, lane="keep")
    for job in jobs:
        job.await_that(lambda job: job.runs == 1)
    scheduler.set_anew()
    for job in jobs:
        job.await_that(lambda job: job.runs == 2)


def test_after_a_jump_jobs_run_at_the_times_that_follow_from_the_clock_as_it_is(
    scheduler: Scheduler, clock: WallClock
) -> None:
    job, now = Job(), clock.now()
    scheduler.at("job", Moments(now + 60, now + 90), job, job.late)
    job.await_that(lambda job: job.runs == 1)
    scheduler.set_anew()
    job.await_that(lambda job: job.runs == 4)


def test_a_job_that_runs_while_the_machines_clock_jumps_runs_once_more_after(scheduler: Scheduler) -> None:
    job = Job(held=True)
    scheduler.at("job", Moments(), job, job.late)
    job.await_that(lambda job: job.runs == 1)
    for jumps in range(1, 4):
        scheduler.set_anew()
        job.await_that(lambda job, jumps=jumps: job.lates == jumps)
    job.release()
    job.await_that(lambda job: job.runs == 2)
    assert scheduler.stop(patience_seconds=PATIENCE) == []
    assert (job.runs, job.overlapped) == (2, False)


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stopping_waits_for_what_runs(scheduler: Scheduler) -> None:
    job = Job(held=True)
    scheduler.every("job", 5.0, job, job.late)
    job.await_that(lambda job: job.runs == 1)
    stopped: list[list[str]] = []
    stopping = threading.Thread(target=lambda: stopped.append(scheduler.stop(patience_seconds=PATIENCE)))
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    job.release()
    stopping.join(PATIENCE)
    assert stopped == [[]]
    assert job.runs == 1


def test_a_job_that_hangs_is_abandoned_by_name_within_the_patience(scheduler: Scheduler) -> None:
    hung, ends = Job(held=True), Job()
    scheduler.every("hung", 5.0, hung, hung.late)
    scheduler.every("ends", 5.0, ends, ends.late)
    hung.await_that(lambda job: job.runs == 1)
    started = time.monotonic()
    assert scheduler.stop(patience_seconds=0.2) == ["hung"]
    assert time.monotonic() - started < PATIENCE / 2
    hung.release()


def test_after_stopping_nothing_runs(scheduler: Scheduler) -> None:
    job = Job()
    scheduler.every("job", 5.0, job, job.late)
    job.await_that(lambda job: job.runs >= 2)
    assert scheduler.stop(patience_seconds=PATIENCE) == []
    runs = job.runs
    scheduler.set_anew()
    for thread in scheduler._threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in scheduler._threads)
    assert job.runs == runs


def test_jobs_that_are_taken_off_make_room_for_others_of_their_name(scheduler: Scheduler) -> None:
    """A reload: what runs ends by itself, and only what is new runs from then on."""
    old, new = Job(held=True), Job()
    scheduler.every("job", 5.0, old, old.late)
    old.await_that(lambda job: job.lates >= 1)
    scheduler.clear()
    scheduler.every("job", 5.0, new, new.late)
    new.await_that(lambda job: job.runs >= 2)
    old.release()
    new.await_that(lambda job: job.runs >= 5)
    assert old.runs == 1


def test_jitter_spreads_the_runs_of_many_daemons() -> None:
    """Each scheduler draws its own; none waits longer than the jitter or the interval says."""
    spreads = {Scheduler(WallClock(), jitter_seconds=2.0)._spread(0.5) for _ in range(50)}
    assert len(spreads) > 40
    assert all(0 <= spread <= 0.5 for spread in spreads)
