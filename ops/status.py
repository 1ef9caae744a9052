"""The fleet at a glance: how old its credentials are, which are due, and what waits."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.clock import timestamp
from chalicelib.phones import SipPhones
from ops.fleet import Fleet

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
AGES = (0, 1, 7, 30, 60, 90, 180, 365)
"""Where the bars of the histogram begin, in days; the last one has no end."""
NEEDED = frozenset({
    "_id", "credentialsId", "credentialsChangedAt", "rotationDays", "plannedRotation", "status.configLoaded",
    "unsettled", "tendFailures", "previousValidUntil",
})  # fmt: skip
_UNIT_BYTES = 4096
_EVENTUALLY_CONSISTENT = 0.5


@dataclass(slots=True)
class Group:
    """Phones that have something in common, and the one that has had it longest."""

    phones: int = 0
    oldest_id: str | None = None
    oldest_at: datetime | None = None

    def add(self, phone_id: str, at: datetime | None) -> None:
        """Counts a phone that has been in the group since ``at``; None when nobody knows."""
        self.phones += 1
        if at is not None and (self.oldest_at is None or at < self.oldest_at):
            self.oldest_id, self.oldest_at = phone_id, at

    def record(self) -> dict[str, Any]:
        """The group as it is printed."""
        oldest = self.oldest_at and {"sipPhoneId": self.oldest_id, "at": timestamp(self.oldest_at)}
        return {"phones": self.phones, "oldest": oldest}


@dataclass(frozen=True, slots=True)
class Scan:
    """What it took to look."""

    seconds: float
    requests: int
    read_units: float
    measured: bool
    """DynamoDB said what it cost; otherwise the units are computed from the table's size."""


@dataclass(slots=True)
class Status:
    """The fleet at the moment ``at``. A phone is in one group of each kind, or in none."""

    at: datetime
    everybody: Group = field(default_factory=Group)
    """All phones, by the age of their credentials."""
    overdue: Group = field(default_factory=Group)
    due_in_a_day: Group = field(default_factory=Group)
    due_in_a_week: Group = field(default_factory=Group)
    """In the next seven days, but not in the next one."""
    due_later: Group = field(default_factory=Group)
    never_due: Group = field(default_factory=Group)
    unsettled: Group = field(default_factory=Group)
    in_grace: Group = field(default_factory=Group)
    """Their old pairs are valid too, until they have proved the new ones."""
    failing: Group = field(default_factory=Group)
    """Sweeps could not publish their pairs."""
    without_pair: Group = field(default_factory=Group)
    """Never imported or reset by this service."""
    age_days: Counter[int] = field(default_factory=Counter)
    """Phones by the age of their credentials, in whole days."""
    due_days: Counter[int] = field(default_factory=Counter)
    """Phones by the whole days that are left until they are due; below 0 when they are overdue."""

    def add(self, phone: SipPhones, fleet_days: int) -> None:
        """Counts a phone of a fleet whose rotation period is ``fleet_days``."""
        if not phone.has_pair:
            self.everybody.add(phone.id, None)
            self.without_pair.add(phone.id, None)
            return
        changed_at = phone.credentials_changed_at
        due = phone.due(fleet_days)
        self.everybody.add(phone.id, changed_at)
        self.age_days[max(0, (self.at - changed_at).days)] += 1
        if due is not None:
            self.due_days[(due - self.at).days] += 1
        self._due_group(due).add(phone.id, due)
        if phone.unsettled:
            self.unsettled.add(phone.id, changed_at)
        if phone.in_grace(self.at):
            self.in_grace.add(phone.id, changed_at)
        if phone.tend_failures:
            self.failing.add(phone.id, changed_at)

    def _due_group(self, due: datetime | None) -> Group:
        if due is None:
            return self.never_due
        if due <= self.at:
            return self.overdue
        if due <= self.at + DAY:
            return self.due_in_a_day
        return self.due_in_a_week if due <= self.at + WEEK else self.due_later

    def ages(self) -> list[tuple[int, int | None, int]]:
        """The histogram of ages: first day, first day no more (None: no end), phones."""
        ends = (*AGES[1:], None)
        return [
            (begin, end, sum(n for day, n in self.age_days.items() if begin <= day and (end is None or day < end)))
            for begin, end in zip(AGES, ends, strict=True)
        ]

    def record(self, scan: Scan) -> dict[str, Any]:
        """The status as it is printed for programs."""
        return {
            "at": timestamp(self.at),
            "phones": self.everybody.record(),
            "ages": [{"fromDays": begin, "toDays": end, "phones": n} for begin, end, n in self.ages()],
            "overdue": self.overdue.record(),
            "dueInADay": self.due_in_a_day.record(),
            "dueInAWeek": self.due_in_a_week.record(),
            "dueLater": self.due_later.record(),
            "neverDue": self.never_due.record(),
            "unsettled": self.unsettled.record(),
            "inGrace": self.in_grace.record(),
            "failing": self.failing.record(),
            "withoutPair": self.without_pair.record(),
            "scan": {
                "seconds": round(scan.seconds, 2),
                "requests": scan.requests,
                "readUnits": scan.read_units,
                "readUnitsFrom": "DynamoDB" if scan.measured else "table size",
            },
        }


def look(
    fleet: Fleet, *, fleet_days: int, now: datetime, seen: Callable[[int], object] = lambda _: None
) -> tuple[Status, Scan]:
    """Reads the whole fleet once, whose rotation period is ``fleet_days``, and counts it.

    ``seen`` is told how many phones each page had.
    """
    began = time.monotonic()
    status = Status(now.astimezone(UTC))
    units: list[float | None] = []
    for page in fleet.pages(NEEDED):
        for phone in page.phones:
            status.add(phone, fleet_days)
        units.append(page.read_units)
        seen(len(page.phones))
    known = [each for each in units if each is not None]
    measured = len(known) == len(units)
    return status, Scan(
        time.monotonic() - began,
        len(units),
        sum(known) if measured else fleet.size().bytes / _UNIT_BYTES * _EVENTUALLY_CONSISTENT,
        measured,
    )
