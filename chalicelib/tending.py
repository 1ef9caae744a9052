"""Tending: a sweep over the phones whose date has come.

The agenda is the work list. Each phone on it gets what its state asks for: a publication that was left undone is
completed, credentials that are due are rotated, a date that no rule supports any more is corrected. What a sweep
does not get to is still on the agenda for the next one. Two sweeps at once do no harm: every step is
conditional on the phone's being as it was found.
"""

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from chalicelib import grace, phone_writes
from chalicelib.announcements import AnnouncementFailed
from chalicelib.clock import Clock
from chalicelib.dynamodb import ConditionFailed, translated_errors
from chalicelib.errors import Unavailable
from chalicelib.pacing import Pace
from chalicelib.phones import SHARDS, SipPhones
from chalicelib.publishing import Publication, Publisher
from chalicelib.resets import NotDue, Resets
from chalicelib.telemetry import logger, record_sweep

RESERVE = timedelta(seconds=30)
"""What one phone can take when every call is slow. A sweep with less time than that starts no other phone."""
OUT_OF_ORDER = 5
"""So many failures in a row mean that AWS is out of order, and not a phone: then the sweep stops."""
FIRST_BACK_OFF = timedelta(minutes=5)
LONGEST_BACK_OFF = timedelta(days=1)
COUNTED = 10_000
"""How many of the phones that are left a sweep counts."""


class Outcome(StrEnum):
    """What became of a phone on the agenda."""

    ROTATED = "rotated"
    COMPLETED = "completed"
    GRACE_ENDED = "graceEnded"
    """Its grace period was over, and nobody had seen it register with the new pair."""
    FAILED = "failed"
    NOTHING = "nothing"
    """It needed nothing any more, or somebody else is at it."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found and did. ``left`` phones were due and not started."""

    due: int
    rotated: int
    completed: int
    grace_ended: int
    failed: int
    left: int
    oldest_lateness: timedelta
    """How long ago the date of the phone that waited longest had come."""
    oldest_unsettled: timedelta
    """How long ago the oldest pair came into force that was found not yet published."""


@dataclass(frozen=True, slots=True)
class Tending:
    """The use case, with what it works on.

    ``rate`` is how many phones are started in a second, ``workers`` how many are tended at the same time.
    """

    resets: Resets
    publisher: Publisher
    clock: Clock
    rate: float
    workers: int

    def tend(self, time_left: Callable[[], timedelta]) -> Sweep:
        """Tends the phones that are due, oldest first, for as long as ``time_left`` allows.

        A phone that fails is counted and comes up again; it keeps nobody waiting. Raises
        :class:`Unavailable` when the agenda cannot be read.
        """
        now = self.clock()
        agenda = _due_phones(now)
        tally = _Tally()
        pace = Pace(self.rate)
        free = threading.Semaphore(self.workers)
        left = 0
        with ThreadPoolExecutor(self.workers, thread_name_prefix="tend") as workers:
            for phone_id, due_at in agenda:
                tally.note_lateness(now - due_at)
                free.acquire()
                if tally.out_of_order or time_left() < RESERVE:
                    left = 1 + sum(1 for _ in islice(agenda, COUNTED))
                    break
                pace.wait()
                task = workers.submit(self._tend_phone, phone_id, due_at, tally)
                task.add_done_callback(lambda _: free.release())
        sweep = tally.sweep(left)
        record_sweep(
            {"Due": sweep.due, "Rotated": sweep.rotated, "Completed": sweep.completed,
             "GraceEnded": sweep.grace_ended, "Failed": sweep.failed, "Left": sweep.left},
            {"OldestLateness": sweep.oldest_lateness, "OldestUnsettled": sweep.oldest_unsettled},
        )  # fmt: skip
        return sweep

    def _tend_phone(self, phone_id: str, due_at: datetime, tally: "_Tally") -> None:
        try:
            outcome, working = self._rotate_or_complete(phone_id, due_at, tally)
        except ConditionFailed:
            outcome, working = Outcome.NOTHING, True
        except Unavailable:
            outcome, working = Outcome.FAILED, False
        except Exception:  # whatever is wrong with one phone, the others get their turn
            logger.exception("phone cannot be tended", sipPhoneId=phone_id)
            outcome, working = Outcome.FAILED, True
        tally.count(outcome, working=working)

    def _rotate_or_complete(self, phone_id: str, due_at: datetime, tally: "_Tally") -> tuple[Outcome, bool]:
        """What became of the phone, and whether AWS works."""
        try:
            reset = self.resets.rotate(phone_id, due_at)
        except NotDue as found:
            phone = found.phone
        else:
            return Outcome.ROTATED, reset.publication is not Publication.UNAVAILABLE
        if phone is None or phone.tend_at != due_at:
            return Outcome.NOTHING, True  # gone, or another sweep was faster
        if not phone.unsettled:
            if phone.previous_valid_until is not None and not phone.in_grace(self.clock()):
                return self._end_grace(phone)
            phone_writes.reschedule(phone, due=phone.next_attention(self.publisher.fleet_rotation_days))
            return Outcome.NOTHING, True
        tally.note_unsettled(self.clock() - phone.credentials_changed_at)
        publication = self.publisher.complete(phone)
        if publication is Publication.REFUSED:
            with suppress(ConditionFailed):  # another sweep did so, or our own attempt whose answer was lost
                phone_writes.postpone(phone, until=self.clock() + back_off(int(phone.tend_failures or 0)))
        return _OUTCOME[publication], publication is not Publication.UNAVAILABLE

    def _end_grace(self, phone: SipPhones) -> tuple[Outcome, bool]:
        try:
            grace.end(phone, self.publisher)
        except AnnouncementFailed as failure:
            if not failure.transient:
                phone_writes.postpone(phone, until=self.clock() + back_off(int(phone.tend_failures or 0)))
            return Outcome.FAILED, not failure.transient
        return Outcome.GRACE_ENDED, True


_OUTCOME = {
    Publication.SETTLED: Outcome.COMPLETED,
    Publication.OVERTAKEN: Outcome.NOTHING,
    Publication.UNAVAILABLE: Outcome.FAILED,
    Publication.REFUSED: Outcome.FAILED,
}


def back_off(failures: int) -> timedelta:
    """How long a phone is left alone after it failed, having failed ``failures`` times before in a row."""
    doubled: timedelta = FIRST_BACK_OFF * 2 ** min(failures, 20)
    return min(doubled, LONGEST_BACK_OFF)


class _Tally:
    """What the workers of one sweep report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[Outcome] = Counter()
        self._lateness = timedelta(0)
        self._unsettled = timedelta(0)
        self._failures_in_a_row = 0

    @property
    def out_of_order(self) -> bool:
        return self._failures_in_a_row >= OUT_OF_ORDER

    def count(self, outcome: Outcome, *, working: bool) -> None:
        with self._lock:
            self._outcomes[outcome] += 1
            self._failures_in_a_row = 0 if working else self._failures_in_a_row + 1

    def note_lateness(self, lateness: timedelta) -> None:
        self._lateness = max(self._lateness, lateness)

    def note_unsettled(self, age: timedelta) -> None:
        with self._lock:
            self._unsettled = max(self._unsettled, age)

    def sweep(self, left: int) -> Sweep:
        return Sweep(
            due=self._outcomes.total() + left,
            rotated=self._outcomes[Outcome.ROTATED],
            completed=self._outcomes[Outcome.COMPLETED],
            grace_ended=self._outcomes[Outcome.GRACE_ENDED],
            failed=self._outcomes[Outcome.FAILED],
            left=left,
            oldest_lateness=self._lateness,
            oldest_unsettled=self._unsettled,
        )


def _due_phones(now: datetime) -> Iterator[tuple[str, datetime]]:
    """The phones whose date has come, with that date, oldest first over all shards."""
    return heapq.merge(*(_due_in(shard, now) for shard in range(SHARDS)), key=lambda phone: phone[1])


def _due_in(shard: int, now: datetime) -> Iterator[tuple[str, datetime]]:
    with translated_errors():
        for phone in SipPhones.agenda.query(shard, SipPhones.tend_at <= now):
            yield phone.id, phone.tend_at
