"""A whole fleet is rotated while its phones go on registering."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.sip.conftest import RESULTS
from tests.sip.fleet import FleetPhone, live_through
from tests.sip.kamailio import Kamailio
from tests.sip.phone import TIMED_OUT, UNAUTHORIZED, UNAVAILABLE
from tests.sip.service import REALM, Event, ResetEvents, Service
from tests.sip.timeline import Move, Timeline
from tests.support.fleet import stored

PHONES = int(os.environ.get("PHONES", "40"))
DEAF = 10
"""One phone of so many ignores NOTIFY: it stays with its old pair until the grace period is over."""
WINDOW_SECONDS = max(20, PHONES // 20)
LIMIT = timedelta(minutes=10)
NOTIFIERS = 4
PICTURE = RESULTS / "timeline.svg"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The phones that went through it, and how each came to its new pair."""

    phones: list[FleetPhone]
    moves: list[Move]


@contextmanager
def handling(events: ResetEvents, handler: Callable[[Event], object]) -> Iterator[dict[str, dict[str, Any]]]:
    """Hands all events to ``handler``, as Lambda does it: some at a time. Holds the last detail of each phone."""
    seen: dict[str, dict[str, Any]] = {}
    over = threading.Event()

    def handle(event: Event) -> None:
        handler(event)
        seen[event["detail"]["sipPhoneId"]] = event["detail"]

    def work() -> None:
        while not over.is_set():
            events.handle(handle)

    workers = [threading.Thread(target=work, name=f"notifier {number}") for number in range(NOTIFIERS)]
    for worker in workers:
        worker.start()
    try:
        yield seen
    finally:
        over.set()
        for worker in workers:
            worker.join()


@pytest.fixture(scope="module")
def rotation(service: Service, registrar: Kamailio, tell: Callable[[Event], None]) -> Rotation:
    ids = service.add_phones(PHONES)
    phones = [FleetPhone(phone_id, listens=place % DEAF != 0) for place, phone_id in enumerate(ids)]
    with handling(ResetEvents(), tell) as resets:
        asyncio.run(
            live_through(
                lambda: service.plan(ids, over_seconds=WINDOW_SECONDS),
                phones,
                registrar=registrar.address,
                domain=REALM,
                configuration=service.pair,
                limit=LIMIT,
            )
        )
    return Rotation(phones, [move(phone, resets[phone.id]) for phone in phones])


def move(phone: FleetPhone, reset: dict[str, Any]) -> Move:
    return Move(
        old_username=reset["previousUsername"],
        rotated=datetime.fromisoformat(reset["changedAt"]),
        grace_until=datetime.fromisoformat(reset["graceUntil"]),
        registrations=phone.registrations,
    )


def test_every_phone_comes_to_its_new_pair(
    rotation: Rotation, figures: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    timeline = Timeline.of(rotation.moves)
    with capsys.disabled():
        print(f"\n{timeline.text()}\n\ndrawn in {PICTURE.relative_to(PROJECT)}")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    title = f"{PHONES:,} phones through a scheduled rotation; every tenth ignores NOTIFY until it is refused"
    PICTURE.write_text(timeline.svg(title))
    figures["phones rotated"] = PHONES
    figures["phones on the new pair"] = sum(phone.has_moved() for phone in rotation.phones)
    for phone in rotation.phones:
        kept = stored(phone.id)
        assert phone.registrations[-1].username == kept.username
        assert kept.adopted_at is not None


def test_no_registration_is_refused_that_should_not_be(rotation: Rotation, figures: dict[str, Any]) -> None:
    statuses = [answer.status for phone in rotation.phones for answer in phone.registrations]
    unanswered = sum(status in {TIMED_OUT, UNAVAILABLE} for status in statuses)
    refused = [registration for move in rotation.moves for registration in move.refused_wrongly()]
    figures["registrations answered"] = len(statuses) - unanswered
    figures["registrations not answered, for want of time"] = unanswered
    figures["registrations refused that should not be"] = len(refused)
    assert refused == []


def test_no_registration_is_accepted_that_should_not_be(rotation: Rotation, figures: dict[str, Any]) -> None:
    accepted = [registration for move in rotation.moves for registration in move.accepted_wrongly()]
    figures["registrations accepted that should not be"] = len(accepted)
    assert accepted == []


def test_most_phones_move_because_they_are_told_and_are_never_refused(
    rotation: Rotation, figures: dict[str, Any]
) -> None:
    moved = [
        (move.moved - move.rotated).total_seconds()
        for move in rotation.moves
        if all(registration.status != UNAUTHORIZED for registration in move.registrations)
    ]
    figures[f"phones that were never refused; one of {DEAF} ignores NOTIFY"] = len(moved)
    assert len(moved) > PHONES / 2
    figures["their rotation to registration with the new pair, s, median"] = round(median(moved), 1)
    figures["their rotation to registration with the new pair, s, longest"] = round(max(moved), 1)
