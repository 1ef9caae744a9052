"""A whole fleet is rotated while its phones go on registering, and none of them notices."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.sip.conftest import RESULTS
from tests.sip.fleet import FleetPhone, live_through
from tests.sip.kamailio import Kamailio
from tests.sip.phone import TIMED_OUT
from tests.sip.service import REALM, ResetEvents, Service
from tests.sip.timeline import Move, Timeline
from tests.support.examples import example
from tests.support.fleet import stored

PHONES = int(os.environ.get("PHONES", "40"))
DEAF = 10
"""One phone of so many ignores NOTIFY: it stays with its old pair until the grace period is over."""
WINDOW_SECONDS = max(20, PHONES // 20)
LIMIT = timedelta(minutes=20)
NOTIFIERS = 4
PICTURE = RESULTS / "timeline.svg"


@contextmanager
def handling(events: ResetEvents, handler: Callable[[dict[str, Any]], object]) -> Iterator[dict[str, Any]]:
    """Hands all events to ``handler``, as Lambda does it: some at a time. Holds the last one of each phone."""
    seen: dict[str, Any] = {}
    over = threading.Event()

    def handle(event: dict[str, Any]) -> None:
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


def test_a_fleet_is_rotated_and_no_registration_is_refused_that_should_not_be(
    service: Service,
    registrar: Kamailio,
    figures: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REGISTRAR_EVENTS_URL", registrar.events_url)
    monkeypatch.setenv("EVENTS_TOKEN", registrar.events_token)
    notify = example("notify_phone").handler
    with capsys.disabled():
        print(f"\n{PHONES:,} phones are rotated over {WINDOW_SECONDS} seconds; this takes some minutes")
    ids = service.add_phones(PHONES)
    phones = [FleetPhone(phone_id, listens=place % DEAF != 0) for place, phone_id in enumerate(ids)]
    with handling(ResetEvents(), lambda event: notify(event, None)) as resets:
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

    moves = [move(phone, resets[phone.id]) for phone in phones]
    registrations = [registration for phone in phones for registration in phone.registrations]
    timeline = Timeline.of(moves)
    with capsys.disabled():
        print(f"\n{timeline.text()}\n\ndrawn in {PICTURE.relative_to(PROJECT)}")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    title = f"{PHONES:,} phones through a scheduled rotation; every tenth ignores NOTIFY until it is refused"
    PICTURE.write_text(timeline.svg(title))
    refused_wrongly = [registration for a_move in moves for registration in a_move.refused_wrongly()]
    accepted_wrongly = [registration for a_move in moves for registration in a_move.accepted_wrongly()]
    never_refused = [phone for phone in phones if all(answer.status != 401 for answer in phone.registrations)]
    told = [
        (a_move.moved - a_move.rotated).total_seconds()
        for a_move, phone in zip(moves, phones, strict=True)
        if phone.listens
    ]
    figures |= {
        "phones rotated": PHONES,
        "registrations answered": sum(registration.status != TIMED_OUT for registration in registrations),
        "registrations refused that should not be": len(refused_wrongly),
        "registrations accepted that should not be": len(accepted_wrongly),
        "phones that were never refused, nine of ten heed NOTIFY": len(never_refused),
        "phones on the new pair": sum(phone.has_moved() for phone in phones),
        "rotation to registration with the new pair, s, median": round(median(told), 1),
        "rotation to registration with the new pair, s, longest": round(max(told), 1),
    }
    assert refused_wrongly == []
    assert accepted_wrongly == []
    assert len(never_refused) > PHONES / 2  # and not all by being refused at the end of the grace period
    assert all(phone.registrations[-1].username == stored(phone.id).username for phone in phones)
    assert all(stored(phone.id).adopted_at for phone in phones)


def move(phone: FleetPhone, reset: dict[str, Any]) -> Move:
    return Move(
        old_username=reset["previousUsername"],
        rotated=datetime.fromisoformat(reset["changedAt"]),
        grace_until=datetime.fromisoformat(reset["graceUntil"]),
        registrations=phone.registrations,
    )
