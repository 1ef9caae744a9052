"""Grace periods: how long the old pair stays valid, and how they end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib import phone_writes
from chalicelib.access import EVERY_PHONE
from chalicelib.errors import NotFound, Unavailable
from chalicelib.phones import SipPhones
from chalicelib.planning import LeftOut, Selection, Window
from chalicelib.registrar import Registrar
from chalicelib.resets import NotDue, Resets
from chalicelib.tending import Sweep, Tending
from tests.support.aws import Crash, Wire
from tests.support.fleet import imported, pair_of, stored

pytestmark = pytest.mark.usefixtures("engine")
HOUR = timedelta(hours=1)
NOTHING = timedelta(0)


@pytest.fixture(autouse=True)
def empty_agenda(engine: str) -> None:
    assert engine
    for phone in SipPhones.scan(SipPhones.tend_at.exists()):
        phone.update(actions=[SipPhones.tend_at.remove(), SipPhones.unsettled.remove()])


@pytest.fixture
def events(wire: Wire) -> Iterator[list[dict[str, Any]]]:
    """What is announced, as it is sent."""
    seen: list[dict[str, Any]] = []

    def look(request: AWSPreparedRequest) -> None:
        seen.extend(
            {"type": entry["DetailType"].removeprefix("SIP Phone Credentials "), **json.loads(entry["Detail"])}
            for entry in json.loads(cast(bytes, request.body))["Entries"]
        )

    with wire.watched("PutEvents", look):
        yield seen


def clock(by: timedelta) -> datetime:
    return app.services().clock() + by


def reset(phone: SipPhones, grace: timedelta = NOTHING, *, after: timedelta = NOTHING) -> SipPhones:
    """The phone after a reset that comes ``after`` that time."""
    resets = Resets(app.services().publisher, lambda: clock(after))
    resets.reset(phone.id, changed_by="test", changed_via="http", grace=grace)
    return stored(phone.id)


def registrar(after: timedelta = NOTHING) -> Registrar:
    return replace(app.services().registrar, clock=lambda: clock(after))


def valid(username: str, after: timedelta = NOTHING) -> bool:
    try:
        registrar(after).digest(username, scope=EVERY_PHONE)
    except NotFound:
        return False
    return True


def sweep(after: timedelta) -> Sweep:
    publisher = replace(app.services().publisher, clock=lambda: clock(after))
    resets = Resets(publisher, publisher.clock, HOUR)
    return Tending(resets, publisher, publisher.clock, rate=1_000, workers=4).tend(lambda: HOUR)


def test_without_a_grace_period_the_old_pair_is_dead_with_the_commit() -> None:
    before = imported()
    now = reset(before)
    assert not valid(before.username)
    assert valid(now.username)
    assert not now.previous_password
    assert not now.previous_valid_until


def test_during_a_grace_period_both_pairs_are_valid_and_afterwards_the_new_one() -> None:
    before = imported()
    now = reset(before, HOUR)
    assert valid(before.username)
    assert valid(now.username)
    assert not valid(before.username, after=HOUR + timedelta(seconds=1))
    assert valid(now.username, after=HOUR + timedelta(seconds=1))


def test_a_reset_without_grace_kills_every_older_pair() -> None:
    first = imported()
    second = reset(first, HOUR)
    third = reset(second)
    assert [valid(phone.username) for phone in (first, second, third)] == [False, False, True]


def test_a_second_grace_period_keeps_the_pair_that_the_phone_is_known_to_use() -> None:
    first = imported()
    second = reset(first, HOUR)
    third = reset(second, 2 * HOUR)
    assert [valid(phone.username) for phone in (first, second, third)] == [True, False, True]
    assert valid(first.username, after=1.5 * HOUR)
    assert not valid(first.username, after=2.1 * HOUR)


def test_a_grace_period_that_is_over_does_not_come_back_to_life() -> None:
    first = imported()
    second = reset(first, HOUR)
    third = reset(second, HOUR, after=1.5 * HOUR)
    assert [valid(phone.username, after=1.6 * HOUR) for phone in (first, second, third)] == [False, True, True]


def test_a_phone_that_never_had_a_pair_can_be_given_a_grace_period() -> None:
    bare = imported()
    bare.update(
        actions=[SipPhones.username.remove(), SipPhones.password.remove(), SipPhones.credentials_id.remove()]
    )
    now = reset(bare, HOUR)
    assert valid(now.username)
    assert registrar().digest(now.username, scope=EVERY_PHONE).valid_until is None


def test_the_proof_ends_the_grace_period_and_is_announced_once(events: list[dict[str, Any]]) -> None:
    before = imported(macAddress="4EE8A34B56F3")
    now = reset(before, HOUR)
    del events[:]

    assert not registrar().registered(before.username, scope=EVERY_PHONE).adopted
    assert events == []
    assert registrar().registered(now.username, scope=EVERY_PHONE).adopted
    assert registrar().registered(now.username, scope=EVERY_PHONE).adopted

    (event,) = events
    assert (event["type"], event["credentialsId"], event["previousUsername"]) == (
        "Adopted",
        now.credentials_id,
        before.username,
    )
    assert not valid(before.username)
    assert pair_of(stored(now.id)) == pair_of(now)
    assert stored(now.id).adopted_at is not None


def test_a_phone_that_proved_its_pair_comes_up_next_when_it_is_due() -> None:
    before = imported(rotationDays=30)
    now = reset(before, HOUR)
    assert now.tend_at == now.previous_valid_until
    registrar().registered(now.username, scope=EVERY_PHONE)
    assert stored(now.id).tend_at == now.due(0)


def test_a_proof_that_could_not_be_announced_is_taken_when_it_comes_again(wire: Wire) -> None:
    before = imported()
    now = reset(before, HOUR)
    wire.refuse("PutEvents", "InternalException", status=500, times=2)
    with pytest.raises(Unavailable):
        registrar().registered(now.username, scope=EVERY_PHONE)
    assert valid(before.username)
    assert registrar().registered(now.username, scope=EVERY_PHONE).adopted
    assert not valid(before.username)


def test_a_crash_between_announcement_and_record_loses_no_proof(wire: Wire, events: list[dict[str, Any]]) -> None:
    before = imported()
    now = reset(before, HOUR)
    del events[:]
    wire.crash("UpdateItem", when="before")
    with pytest.raises(Crash):
        registrar().registered(now.username, scope=EVERY_PHONE)
    registrar().registered(now.username, scope=EVERY_PHONE)
    assert [event["type"] for event in events] == ["Adopted", "Adopted"]
    assert len({event["credentialsId"] for event in events}) == 1
    assert not valid(before.username)


def test_a_proof_that_a_reset_overtakes_does_not_touch_the_new_pair(wire: Wire) -> None:
    before = imported()
    second = reset(before, HOUR)
    third: list[SipPhones] = []
    wire.hold("UpdateItem", lambda: third.append(reset(second, HOUR)))
    with pytest.raises(NotFound):
        registrar().registered(second.username, scope=EVERY_PHONE)
    assert stored(before.id).adopted_at is None
    assert valid(third[0].username)
    assert valid(before.username)


def test_a_phone_can_prove_its_pair_before_the_reset_is_settled(wire: Wire) -> None:
    before = imported(rotationDays=30)
    wire.crash("PutSecretValue", when="before")
    with pytest.raises(Crash):
        reset(before, HOUR)
    crashed = stored(before.id)
    assert registrar().registered(crashed.username, scope=EVERY_PHONE).adopted
    now = stored(before.id)
    assert (now.unsettled, now.tend_at) == (crashed.unsettled, crashed.tend_at)
    assert sweep(timedelta(minutes=3)).completed == 1
    assert stored(before.id).tend_at == now.due(0)


def test_a_grace_period_that_ends_without_proof_is_announced_counted_and_tidied_up(
    events: list[dict[str, Any]], service_log: list[dict[str, Any]]
) -> None:
    before = imported(rotationDays=30)
    now = reset(before, HOUR)
    del events[:]
    assert sweep(timedelta(minutes=59)).due == 0
    swept = sweep(HOUR + timedelta(seconds=1))
    assert (swept.due, swept.grace_ended, swept.rotated) == (1, 1, 0)
    (event,) = events
    assert (event["type"], event["credentialsId"]) == ("Grace Ended", now.credentials_id)
    after = stored(now.id)
    assert not (after.previous_password)
    assert not (after.previous_valid_until)
    assert not after.adopted_at
    assert after.tend_at == after.due(0)
    assert pair_of(after) == pair_of(now)
    assert any(line.get("sipPhoneId") == now.id and line["level"] == "WARNING" for line in service_log)
    assert sweep(HOUR + timedelta(minutes=1)).due == 0


def test_an_end_that_could_not_be_announced_is_announced_by_a_later_sweep(
    wire: Wire, events: list[dict[str, Any]]
) -> None:
    before = imported(rotationDays=30)
    now = reset(before, HOUR)
    del events[:]
    wire.refuse("PutEvents", "InternalException", status=500, times=2)
    assert sweep(HOUR + timedelta(minutes=1)).failed == 1
    assert not valid(before.username, after=HOUR + timedelta(minutes=1))
    assert sweep(HOUR + timedelta(minutes=6)).grace_ended == 1
    assert {event["credentialsId"] for event in events} == {now.credentials_id}


def test_an_end_that_is_refused_for_good_backs_off(wire: Wire) -> None:
    reset(imported(rotationDays=30), HOUR)
    wire.refuse("PutEvents", "AccessDeniedException")
    assert sweep(HOUR + timedelta(minutes=1)).failed == 1
    assert sweep(HOUR + timedelta(minutes=2)).due == 0
    assert sweep(HOUR + timedelta(minutes=7)).grace_ended == 1


def test_a_scheduled_rotation_has_the_grace_period_of_the_setting() -> None:
    phone = imported(rotationDays=30)
    due = clock(-HOUR)
    phone_writes.reschedule(phone, due=due)
    assert sweep(NOTHING).rotated == 1
    now = stored(phone.id)
    assert now.previous_username == phone.username
    assert now.previous_valid_until is not None
    assert abs(now.previous_valid_until - now.credentials_changed_at - HOUR) < timedelta(seconds=1)
    assert valid(phone.username)


def test_no_rotation_starts_while_the_last_one_is_unproven() -> None:
    phone = imported(rotationDays=30)
    now = reset(phone, HOUR)
    with pytest.raises(NotDue):
        app.services().resets.rotate(now.id, now.tend_at)
    plan = app.services().planning.plan(
        Selection(phone_ids=[now.id]),
        Window(clock(NOTHING), HOUR),
        request_key="k",
        dry_run=False,
        time_left=lambda: HOUR,
    )
    assert plan.left_out == {LeftOut.UNPROVEN: 1}
    cancelled = app.services().planning.plan(
        Selection(phone_ids=[now.id]), None, request_key="k", dry_run=False, time_left=lambda: HOUR
    )
    assert cancelled.left_out == {LeftOut.UNCHANGED: 1}
    assert stored(now.id).tend_at == now.tend_at
