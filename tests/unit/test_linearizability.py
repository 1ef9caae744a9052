"""Resets of one phone by many threads at once: what everybody is told fits one order of all of them.

A pair is generated once, so the phone is a register: an answered reset writes its pair, a replay reads which one is in
force, and so does whoever looks at the table. Gibbons and Korach, "Testing shared memories" (1997), say when such a
history has an order that respects who was answered before whom began.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

import app
from chalicelib.credentials import new_id
from chalicelib.errors import Superseded, Unavailable
from tests.support.aws import Wire
from tests.support.fleet import imported, stored

THREADS = 6
CALLS_EACH = 12
LONGEST_DELAY_SECONDS = 0.01
LOST_ANSWERS = 0.2


@dataclass(frozen=True)
class Told:
    """A caller was told which pair is in force, or put it in force, at some time of its call."""

    began: float
    ended: float
    pair_id: str


@dataclass(frozen=True)
class Zone:
    """Between its first and its last sight a pair was in force all the time (``sure``), or else at one moment of it."""

    begins: float
    ends: float
    sure: bool


def zone(sights: list[Told]) -> Zone:
    first_end = min(sight.ended for sight in sights)
    last_begin = max(sight.began for sight in sights)
    return Zone(min(first_end, last_begin), max(first_end, last_begin), sure=first_end < last_begin)


def has_an_order(history: list[Told]) -> bool:
    """Whether one order of all calls, each at some moment between its beginning and its end, explains what was told."""
    by_pair: defaultdict[str, list[Told]] = defaultdict(list)
    for told in history:
        by_pair[told.pair_id].append(told)
    zones = [zone(sights) for sights in by_pair.values()]
    return not any(
        (one.sure and other.sure and one.begins < other.ends and other.begins < one.ends)
        or (one.sure and not other.sure and one.begins < other.begins and other.ends < one.ends)
        or (other.sure and not one.sure and other.begins < one.begins and one.ends < other.ends)
        for one, other in combinations(zones, 2)
    )


def test_the_check_knows_a_history_without_an_order() -> None:
    slow, quick = Told(0, 9, "slow"), Told(2, 3, "quick")
    assert has_an_order([slow, quick, Told(10, 10, "slow")])
    assert has_an_order([slow, quick, Told(1, 1, "slow"), Told(10, 10, "quick")])
    assert not has_an_order([slow, quick, Told(1, 1, "slow"), Told(10, 10, "slow")])
    assert not has_an_order([Told(0, 1, "early"), quick, Told(10, 10, "early")])


@pytest.mark.engine("roto")  # real threads; moto's table is not made for them
@pytest.mark.parametrize("seed", range(6))
def test_resets_of_one_phone_at_once_fit_one_order(
    wire: Wire, mirrored: Callable[[str], dict[str, Any]], seed: int
) -> None:
    phone = imported()
    chance = random.Random(seed)  # noqa: S311 - it chooses delays

    def delay(event: str, request: AWSPreparedRequest) -> AWSResponse | None:
        time.sleep(chance.uniform(0, LONGEST_DELAY_SECONDS))
        if event.endswith("UpdateItem") and chance.random() < LOST_ANSWERS:
            wire.perform(event, request)
            time.sleep(chance.uniform(0, LONGEST_DELAY_SECONDS))
            raise ConnectionClosedError(endpoint_url=request.url)
        return None

    def call(key: str | None) -> tuple[str, bool]:
        """The pair that somebody is told of, and whether it is their own."""
        if key == "look":
            return stored(phone.id).credentials_id, False
        try:
            reset = app.services().resets.reset(phone.id, changed_by="test", changed_via="http", request_key=key)
        except Superseded:
            # Without a key it is its own pair that was in force and is no more.
            return (new_id() if key is None else ""), False
        except Unavailable:
            return "", False
        return reset.phone.credentials_id, not reset.replayed

    def calls(keys: list[str | None]) -> list[tuple[Told, bool]]:
        told = []
        for key in keys:
            began = time.monotonic()
            pair_id, own = call(key)
            told.append((Told(began, time.monotonic(), pair_id), own))
        return told

    keys = [chance.choices([None, "look", "a", "b", "c"], [3, 3, 1, 1, 1], k=CALLS_EACH) for _ in range(THREADS)]
    with wire.directed(delay), ThreadPoolExecutor(THREADS) as threads:
        told = [entry for thread in threads.map(calls, keys) for entry in thread if entry[0].pair_id]
    now = stored(phone.id)
    in_the_end = Told(time.monotonic(), time.monotonic(), now.credentials_id)

    own = [entry.pair_id for entry, is_own in told if is_own]
    assert len(own) == len(set(own)) > THREADS
    in_the_beginning = Told(0, 0, phone.credentials_id)
    assert has_an_order([in_the_beginning, *(entry for entry, _ in told), in_the_end])
    app.services().publisher.complete(now)
    assert mirrored(phone.id)["credentialsId"] == now.credentials_id
