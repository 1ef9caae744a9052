"""Planned rotation: gives many phones a date over a window of time, or their regular dates back.

Nothing is rotated here. The dates are on the agenda, and the sweeps act on them at their own pace.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from chalicelib import idempotency, phone_writes
from chalicelib.clock import Clock
from chalicelib.dynamodb import ConditionFailed, translated_errors
from chalicelib.phones import SipPhones

RESERVE = timedelta(seconds=15)
"""A call with less time than that takes up no more phones, and says that it is not complete."""
WORKERS = 16
_BATCH = 256
_READ_AT_ONCE = 100  # the most that a BatchGetItem takes
_ATTEMPTS = 3
_NEEDED = [
    "_id", "credentialsId", "credentialsChangedAt", "rotationDays", "status", "recentRequests", "unsettled",
    "tendAt", "plannedRotation", "previousValidUntil",
]  # fmt: skip


class LeftOut(StrEnum):
    """Why a phone gets no date."""

    NOT_FOUND = "notFound"
    ROTATION_OFF = "rotationOff"
    NEVER_FETCHED_CONFIGURATION = "neverFetchedConfiguration"
    UNPROVEN = "unproven"
    """It is in the grace period of its last rotation: nobody has seen it register with the new pair yet."""
    CHANGING = "changing"
    """Its credentials were changed a moment ago, or are not published yet."""
    UNCHANGED = "unchanged"
    """It has its regular date already, or this very request has given it back before."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which phones: a customer's, those listed by their ids in canonical form, or, with neither, all."""

    customer: str | None = None
    phone_ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Over which time the dates are spread."""

    start: datetime
    length: timedelta

    def date(self, phone_id: str, digest: str) -> datetime:
        """The phone's date: evenly spread over the phones, and the same whenever the same request asks."""
        draw = hashlib.sha256(f"{digest}{phone_id}".encode()).digest()
        date = self.start + self.length * (int.from_bytes(draw[:6]) / 2**48)
        return date.replace(microsecond=0)  # as the agenda keeps it


@dataclass(slots=True)
class Plan:
    """What was planned: how many phones, between which dates, and how many were left out, by reason."""

    phones: int = 0
    first_due: datetime | None = None
    last_due: datetime | None = None
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    dry_run: bool = False
    complete: bool = True
    """False when the time ran out: the same request again goes on."""

    def add(self, result: "datetime | LeftOut | None") -> None:
        """Counts a phone: its date, None for no date any more, or why it was left out."""
        if isinstance(result, LeftOut):
            self.left_out[result] += 1
            return
        self.phones += 1
        if result is not None:
            self.first_due = result if self.first_due is None else min(self.first_due, result)
            self.last_due = result if self.last_due is None else max(self.last_due, result)


@dataclass(frozen=True, slots=True)
class Planning:
    """The use case, with what it works on."""

    clock: Clock
    fleet_rotation_days: int

    def plan(
        self,
        selection: Selection,
        window: Window | None,
        *,
        request_key: str,
        dry_run: bool,
        time_left: Callable[[], timedelta],
    ) -> Plan:
        """Gives each phone that may be rotated a date in ``window``, once per ``request_key``.

        A phone may be rotated when it has fetched its configuration or has a rotation period of its own, and
        when that is not 0. Without a window the phones get their regular dates back, which for some is none at
        all. Raises :class:`~chalicelib.errors.Unavailable`; the same request again goes on.
        """
        digest = idempotency.digest(request_key, purpose="plan" if window else "cancel")

        def work(phone: SipPhones | None) -> datetime | LeftOut | None:
            if phone is None:
                return LeftOut.NOT_FOUND
            if window is None:
                return self._put_back(phone, digest, dry_run=dry_run)
            return self._plan_phone(phone, window, digest, dry_run=dry_run)

        plan = Plan(dry_run=dry_run)
        phones = _selected(selection)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="plan") as workers:
            while batch := list(islice(phones, _BATCH)):
                for result in workers.map(work, batch):
                    plan.add(result)
                if time_left() < RESERVE:
                    plan.complete = next(phones, _NO_MORE) is _NO_MORE
                    break
        return plan

    def _plan_phone(
        self, phone: SipPhones, window: Window, digest: str, *, dry_run: bool
    ) -> datetime | LeftOut | None:
        now = self.clock()
        for _ in range(_ATTEMPTS):
            if idempotency.answer(phone.requests(), digest, now) is not None:
                return phone.planned_rotation  # None when it was rotated already
            if (reason := _reason_to_leave_out(phone)) is not None:
                return reason
            date = window.date(phone.id, digest)
            if dry_run:
                return date
            try:
                phone_writes.reschedule(phone, due=date, planned=True, request=(digest, now))
            except ConditionFailed:
                phone_writes.remember_requests(phone.id)
                changed = SipPhones.find(phone.id)
                if changed is None:
                    return LeftOut.NOT_FOUND
                phone = changed
            else:
                return date
        return LeftOut.CHANGING

    def _put_back(self, phone: SipPhones, digest: str, *, dry_run: bool) -> datetime | LeftOut | None:
        if phone.unsettled or not phone.has_pair:
            return LeftOut.CHANGING
        now = self.clock()
        due = phone.regular_due(self.fleet_rotation_days)
        known = idempotency.answer(phone.requests(), digest, now) is not None
        if (
            known
            or phone.previous_valid_until is not None
            or (phone.tend_at == due and phone.planned_rotation is None)
        ):
            return LeftOut.UNCHANGED
        if not dry_run:
            try:
                if phone.recent_requests is None:
                    phone_writes.remember_requests(phone.id)
                phone_writes.reschedule(phone, due=due, request=(digest, now))
            except ConditionFailed:
                return LeftOut.CHANGING
        return due


def _reason_to_leave_out(phone: SipPhones) -> LeftOut | None:
    if phone.rotation_days == 0:
        return LeftOut.ROTATION_OFF
    if phone.rotation_days is None and not phone.has_fetched_configuration:
        return LeftOut.NEVER_FETCHED_CONFIGURATION
    if phone.unsettled or not phone.has_pair:
        return LeftOut.CHANGING
    if phone.previous_valid_until is not None:
        return LeftOut.UNPROVEN
    return None


def _selected(selection: Selection) -> Iterator[SipPhones | None]:
    """The phones of ``selection`` with what planning needs to know of them, None for each that is missing."""
    with translated_errors():
        if selection.customer is not None:
            keys = SipPhones.by_customer.query(selection.customer)
            yield from _read(phone.id for phone in keys)
        elif selection.phone_ids is not None:
            yield from _read(iter(selection.phone_ids))
        else:
            yield from SipPhones.scan(attributes_to_get=_NEEDED)


def _read(phone_ids: Iterator[str]) -> Iterator[SipPhones | None]:
    while chunk := list(islice(phone_ids, _READ_AT_ONCE)):
        found = list(SipPhones.batch_get(chunk, consistent_read=True, attributes_to_get=_NEEDED))
        yield from found
        yield from [None] * (len(chunk) - len(found))


_NO_MORE = object()
