"""Many workers, a fifth of all AWS calls failing, workers killed at any moment: what is left behind is counted."""

import os
import random
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from pathlib import Path

import pytest
from rich.console import Console

import app
from chalicelib.idempotency import digest
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.resets import Resets
from chalicelib.tending import Tending
from ops.importing import import_phones
from ops.phone_records import Record
from tests.faults.chaos_crew import Crew
from tests.faults.chaos_worker import Request, Told, digest_of
from tests.faults.spoilt_aws import Estate, Rule, present, spoilt_aws
from tests.support import figures
from tests.support.fleet import admin, new_owner, new_phone_id, pair_of


@dataclass(frozen=True)
class Scale:
    workers: int
    phones: int
    resets: int
    seconds_between_kills: float


FULL = Scale(workers=32, phones=500, resets=10_000, seconds_between_kills=2)
SMALL = Scale(workers=8, phones=50, resets=600, seconds_between_kills=2)

LONGEST_LATENCY_SECONDS = 2.5
"""Longer than the SDK waits for DynamoDB."""
SHARES: list[tuple[float, Rule]] = [
    (0.04, {"error": {"code": "ThrottlingException", "status": 400}}),
    (0.03, {"error": {"code": "InternalServerError", "status": 500}}),
    (0.03, {"error": {"code": "ServiceUnavailable", "status": 503}}),
    (0.03, {"reset": True}),
    (0.03, {"response": {"abort_bytes": 0}}),
    (0.01, {"response": {"truncate_frac": 0.5}}),
    (0.03, {"latency": {"min": 20, "max": LONGEST_LATENCY_SECONDS * 1000}}),
]
"""How many of all AWS calls are spoilt, and how."""


AT_ONE_PHONE = 4
"""Workers that reset the same phone at a time, on average."""
QUIET_SECONDS = 5
MOST_SWEEPS = 20
LOST = "resets lost"
TWICE = "keys answered with two pairs"
UNCALLED = "pairs announced that no request made"
DIFFERENT = "phones whose copy differs"
UNHEARD = "phones whose pair was never announced"
UNSETTLED = "phones left unsettled"


def spoiling_rules() -> list[Rule]:
    """The proxy tries one rule after the other, so each gets its share of what those before it left over."""
    rules = []
    left = 1.0
    for share, effect in SHARES:
        rules.append({"service": "*", "probability": share / left, **effect})
        left -= share
    return rules


def wanted_resets(scale: Scale, chance: random.Random) -> list[Request]:
    """The same number for each phone, in an order in which resets of one phone meet."""
    phones = [new_phone_id() for _ in range(scale.phones)]
    each = scale.resets // scale.phones
    order: list[str] = []
    few = scale.workers // AT_ONE_PHONE
    for first in range(0, scale.phones, few):
        together = phones[first : first + few] * each
        chance.shuffle(together)
        order += together
    return [Request(number, phone_id, f"reset {number}") for number, phone_id in enumerate(order)]


@contextmanager
def listening(estate: Estate) -> Iterator[None]:
    """Hears events while they come, and afterwards until no more do."""
    quiet = threading.Event()

    def listen() -> None:
        last_heard = time.monotonic()
        while not quiet.is_set() or time.monotonic() < last_heard + QUIET_SECONDS:
            if estate.listen():
                last_heard = time.monotonic()
            else:
                time.sleep(0.2)

    listener = threading.Thread(target=listen, name="listener")
    listener.start()
    try:
        yield
    finally:
        quiet.set()
        listener.join()


def tend_until_idle() -> int:
    """Sweeps when all publishers' time is over, and answers with how many sweeps had something to do."""
    services = app.services()

    def clock() -> datetime:
        return services.clock() + PUBLISHER_LIFE * 1.1

    publisher = replace(services.publisher, clock=clock)
    tending = Tending(Resets(publisher, clock), publisher, clock, rate=float("inf"), workers=8)
    sweeps = 0
    while tending.tend(lambda: timedelta(hours=1)).due:
        sweeps += 1
        assert sweeps < MOST_SWEEPS
    return sweeps


def left_behind(
    estate: Estate, imported: Mapping[str, str], requests: list[Request], told: Mapping[int, Told]
) -> dict[str, int]:
    """What must not be there, counted. ``imported`` has the id of each phone's first pair."""
    of_phone = defaultdict(list)
    for request in requests:
        of_phone[request.phone_id].append(request)
    counts = Counter(dict.fromkeys((LOST, TWICE, UNCALLED, DIFFERENT, UNHEARD, UNSETTLED), 0))
    for phone_id, its_requests in of_phone.items():
        phone = present(estate.phone(phone_id))
        keys = phone.requests()
        made = {
            request.number: keys.get(digest(request.key, purpose="reset"), {}).get("id")
            for request in its_requests
        }
        answered = [answer for request in its_requests for answer in told[request.number].pairs]
        in_force_since = min((at for at, pair_id, _ in answered if pair_id == phone.credentials_id), default=inf)
        for request in its_requests:
            pair_id, answers = made[request.number], told[request.number]
            replaced = pair_id != phone.credentials_id
            # Whoever first asked when the pair in force had been answered has made a later one.
            counts[LOST] += pair_id is None or (replaced and answers.asked_at > in_force_since)
            counts[LOST] += not replaced and any(pair != digest_of(pair_of(phone)) for _, _, pair in answers.pairs)
            counts[TWICE] += len({answer[1:] for answer in answers.pairs}) > 1
            counts[TWICE] += any(answered_id != pair_id for _, answered_id, _ in answers.pairs)
        counts[LOST] += phone.credentials_id not in made.values()
        counts[UNCALLED] += len(estate.announced(phone_id) - {*made.values(), imported[phone_id]})
        counts[DIFFERENT] += not estate.has_copy_of(phone)
        counts[UNHEARD] += phone.credentials_id not in estate.announced(phone_id)
        counts[UNSETTLED] += bool(phone.unsettled)
    return counts


def test_whatever_fails_no_reset_is_lost_or_made_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = FULL if os.environ.get("FULL") else SMALL
    seed = os.environ.get("CHAOS_SEED") or str(secrets.randbits(32))
    with capsys.disabled():
        print(f"\nCHAOS_SEED={seed} {scale}")
    requests = wanted_resets(scale, random.Random(seed))  # noqa: S311 - decides the order, not what is secret
    phones = [{"_id": phone_id, "customer": new_owner()} for phone_id in {each.phone_id for each in requests}]
    with spoilt_aws(tmp_path, seed=seed) as (proxy, estate):
        for result in import_phones(app.services(), [Record(0, phone) for phone in phones], by="test"):
            assert not result.reason
        imported = {phone["_id"]: present(estate.phone(phone["_id"])).credentials_id for phone in phones}
        crew = Crew(proxy.url, requests, admin(), scale.workers, scale.seconds_between_kills, seed, tmp_path)
        began, calls_before = time.monotonic(), proxy.requests()
        with listening(estate):
            proxy.spoil(*spoiling_rules())
            crew.run()
            seconds = time.monotonic() - began
            spoilt, calls = sum(proxy.spoilt()), proxy.requests() - calls_before
            proxy.spoil()
            time.sleep(LONGEST_LATENCY_SECONDS)  # what was delayed for the dead arrives all the same
            sweeps = tend_until_idle()
        told = crew.told()
        counts = left_behind(estate, imported, requests, told)
    statuses = Counter(status for answers in told.values() for status in answers.statuses)
    rows = [
        ("seed", seed),
        ("workers, phones", f"{scale.workers}, {scale.phones}"),
        ("workers killed", crew.kills),
        ("AWS calls, spoilt", f"{calls:,}, {spoilt / calls:.0%}"),
        ("resets asked for", f"{len(requests):,}"),
        ("acknowledged with a pair", f"{sum(bool(answers.pairs) for answers in told.values()):,}"),
        ("acknowledged as superseded only", f"{sum(not answers.pairs for answers in told.values()):,}"),
        ("answers by status", ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))),
        ("sweeps until idle", sweeps),
        ("resets a second", f"{len(requests) / seconds:.0f}"),
        *counts.items(),
    ]
    figures.write("chaos", "Chaos", rows)
    with capsys.disabled():
        Console(width=100).print(figures.table("chaos"))
    assert statuses.keys() <= {200, 409, 503}
    assert len(told) == len(requests)
    assert all(answers.is_final for answers in told.values())
    assert not any(counts.values())
