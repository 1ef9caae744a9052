"""Sweeps: what they rotate, complete, leave alone, and how they fare when something fails."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib import phone_writes
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import Unavailable
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from chalicelib.resets import Resets
from chalicelib.tending import FIRST_BACK_OFF, LONGEST_BACK_OFF, OUT_OF_ORDER, RESERVE, Sweep, Tending, back_off
from tests.support.aws import Crash, Wire
from tests.support.fleet import empty_agenda, imported, new_owner, pair_of, stored

Mirrored = Callable[[str], dict[str, Any]]

HOUR = timedelta(hours=1)
CONFIGURED = {"configLoaded": "2026-01-05T08:00:00Z"}


@pytest.fixture(autouse=True)
def own_phones_only(engine: str) -> None:
    assert engine
    empty_agenda()


def later(by: timedelta, *, fleet_days: int = 0) -> Tending:
    """The service's tending when ``by`` has passed, without its pace."""
    services = app.services()

    def clock() -> datetime:
        return services.clock() + by

    publisher = replace(services.publisher, clock=clock, fleet_rotation_days=fleet_days)
    return Tending(Resets(publisher, clock), publisher, clock, rate=float("inf"), workers=4)


def sweep(by: timedelta = timedelta(0), *, fleet_days: int = 0, time_left: timedelta = HOUR) -> Sweep:
    return later(by, fleet_days=fleet_days).tend(lambda: time_left)


def due_phone(**properties: Any) -> SipPhones:
    """A phone whose date has come a minute ago."""
    phone = imported(**{"rotationDays": 30, **properties})
    due = app.services().clock() - timedelta(minutes=1)
    phone_writes.reschedule(phone, due=due)
    return stored(phone.id)


def counts(result: Sweep) -> dict[str, int]:
    return {name: getattr(result, name) for name in ("due", "rotated", "completed", "failed", "left")}


def assert_settled(phone_id: str, mirrored: Mirrored) -> SipPhones:
    """The mirror has the pair in force, and nothing is left to do for the phone."""
    phone = stored(phone_id)
    copy = mirrored(phone_id)
    assert (copy["username"], copy["password"]) == pair_of(phone)
    assert copy["credentialsId"] == phone.credentials_id
    assert not phone.unsettled
    return phone


def test_a_due_phone_is_rotated_mirrored_and_gets_its_next_date(mirrored: Mirrored) -> None:
    phone = due_phone()
    assert counts(sweep()) == {"due": 1, "rotated": 1, "completed": 0, "failed": 0, "left": 0}

    now = assert_settled(phone.id, mirrored)
    assert pair_of(now) != pair_of(phone)
    assert (now.changed_by, now.changed_via) == ("tend", "schedule")
    assert timedelta(days=27) <= now.tend_at - now.credentials_changed_at <= timedelta(days=33)


def test_a_phone_whose_date_has_not_come_is_left_alone() -> None:
    phone = imported(rotationDays=30)
    assert counts(sweep()) == {"due": 0, "rotated": 0, "completed": 0, "failed": 0, "left": 0}
    assert counts(sweep(timedelta(days=26)))["due"] == 0
    assert pair_of(stored(phone.id)) == pair_of(phone)


def test_a_rotation_is_four_calls(wire: Wire) -> None:
    due_phone()
    with wire.recorded() as sent:
        sweep()
    assert Counter(sent) == {"Query": 16, "UpdateItem": 2, "PutSecretValue": 1, "PutEvents": 1}


def test_the_oldest_is_tended_first_and_its_lateness_told() -> None:
    phones = [due_phone() for _ in range(6)]
    now = app.services().clock()
    for age, phone in enumerate(phones):
        phone_writes.reschedule(phone, due=now - timedelta(hours=age))
    one_worker = replace(later(timedelta(0)), workers=1)
    result = one_worker.tend(lambda: HOUR)

    changed = [stored(phone.id).credentials_changed_at for phone in phones]
    assert changed == sorted(changed, reverse=True)
    assert timedelta(hours=5) <= result.oldest_lateness < timedelta(hours=5, minutes=1)


POLICY = [
    # own period, configuration fetched, the fleet's period: rotated by its date?
    (None, True, 90, True),
    (None, False, 90, False),
    (None, True, 0, False),
    (0, True, 90, False),
    (30, True, 0, True),
    (30, False, 0, True),
]


@pytest.mark.parametrize(("own", "fetched", "fleet_days", "rotated"), POLICY)
def test_only_phones_that_the_policy_names_are_rotated(
    own: int | None, fetched: bool, fleet_days: int, rotated: bool
) -> None:
    phone = due_phone(rotationDays=own, status=CONFIGURED if fetched else {"online": True})
    result = sweep(fleet_days=fleet_days)
    assert (pair_of(stored(phone.id)) != pair_of(phone)) == rotated
    assert counts(result)["rotated"] == rotated
    if not rotated:
        assert stored(phone.id).tend_at is None


@pytest.mark.parametrize(("own", "fetched", "fleet_days", "rotated"), POLICY)
def test_the_policy_decides_what_gets_a_date(
    own: int | None, fetched: bool, fleet_days: int, rotated: bool
) -> None:
    phone = due_phone(rotationDays=own, status=CONFIGURED if fetched else {"online": True})
    later(timedelta(0), fleet_days=fleet_days).resets.reset(phone.id, changed_by="test", changed_via="http")
    assert (stored(phone.id).tend_at is not None) == rotated


def test_a_planned_rotation_is_carried_out_whatever_the_fleets_period(mirrored: Mirrored) -> None:
    phone = due_phone(rotationDays=None, status=CONFIGURED)
    phone_writes.reschedule(phone, due=app.services().clock(), planned=True)
    assert counts(sweep(timedelta(seconds=1)))["rotated"] == 1
    assert assert_settled(phone.id, mirrored).planned_rotation is None


def test_a_planned_rotation_is_dropped_when_the_phone_is_never_to_be_rotated() -> None:
    phone = due_phone(rotationDays=0, status=CONFIGURED)
    phone_writes.reschedule(phone, due=app.services().clock(), planned=True)
    assert counts(sweep(timedelta(seconds=1), fleet_days=90))["rotated"] == 0
    now = stored(phone.id)
    assert now.tend_at is None
    assert now.planned_rotation is None


def test_a_plan_that_is_made_while_a_sweep_corrects_the_date_stands(wire: Wire) -> None:
    phone = due_phone(rotationDays=None, status=CONFIGURED)
    date = (app.services().clock() + HOUR).replace(microsecond=0)
    wire.hold("UpdateItem", until=lambda: None)  # the sweep's attempt to rotate
    wire.hold("UpdateItem", until=lambda: phone_writes.reschedule(phone, due=date, planned=True))
    assert counts(sweep())["rotated"] == 0
    now = stored(phone.id)
    assert now.tend_at == now.planned_rotation == date


# One row for each call of a reset, with the crash before it is sent and after it took effect.
CRASHES = [
    (operation, place, when)
    for operation, place in [("UpdateItem", 0), ("PutSecretValue", 0), ("PutEvents", 0), ("UpdateItem", 1)]
    for when in ("before", "after")
]


@pytest.fixture
def announced(wire: Wire) -> Iterator[list[str]]:
    """The ids of the pairs that were announced."""
    ids: list[str] = []

    def look(request: AWSPreparedRequest) -> None:
        entries = json.loads(cast(bytes, request.body))["Entries"]
        ids.extend(json.loads(entry["Detail"])["credentialsId"] for entry in entries)

    with wire.watched("PutEvents", look):
        yield ids


@pytest.mark.parametrize(("operation", "place", "when"), CRASHES)
@pytest.mark.parametrize("key", [None, "k"])
def test_whatever_a_crash_leaves_one_sweep_completes(
    wire: Wire, mirrored: Mirrored, announced: list[str], operation: str, place: int, when: str, key: str | None
) -> None:
    phone = imported()
    for _ in range(place):
        wire.hold(operation, until=lambda: None)
    wire.crash(operation, when=when)
    with pytest.raises(Crash):
        app.services().resets.reset(phone.id, changed_by="test", changed_via="http", request_key=key)
    crashed = stored(phone.id)
    committed = (operation, place, when) != ("UpdateItem", 0, "before")
    assert (pair_of(crashed) != pair_of(phone)) == committed

    early = sweep(PUBLISHER_LIFE - timedelta(seconds=5))
    assert counts(early)["completed"] == 0  # its publisher may still be at work
    sweep(PUBLISHER_LIFE + timedelta(seconds=5))

    now = assert_settled(phone.id, mirrored)
    assert pair_of(now) == pair_of(crashed)
    assert now.credentials_id in announced
    assert counts(sweep(HOUR)) == {"due": 0, "rotated": 0, "completed": 0, "failed": 0, "left": 0}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["PutItem", "CreateSecret", "PutEvents", "UpdateItem"])
def test_an_import_that_crashes_is_completed(wire: Wire, mirrored: Mirrored, operation: str, when: str) -> None:
    wire.crash(operation, when=when)
    owner = new_owner()
    with pytest.raises(Crash):
        imported(customer=owner)
    sweep(PUBLISHER_LIFE + timedelta(seconds=5))
    for key in SipPhones.by_customer.query(owner):
        assert_settled(key.id, mirrored)


def test_resets_that_overtook_each_other_are_put_right_by_one_sweep(wire: Wire, mirrored: Mirrored) -> None:
    """The first reset's copy arrives after the second's, so the mirror has the older pair."""
    phone = imported()
    reset = app.services().resets.reset
    second: list[SipPhones] = []
    wire.hold(
        "PutSecretValue",
        until=lambda: second.append(reset(phone.id, changed_by="test", changed_via="http").phone),
    )
    first = reset(phone.id, changed_by="test", changed_via="http")
    assert mirrored(phone.id)["password"] == first.phone.password
    assert not first.mirrored

    assert counts(sweep(PUBLISHER_LIFE + timedelta(seconds=5)))["completed"] == 1
    now = assert_settled(phone.id, mirrored)
    assert pair_of(now) == pair_of(second[0])


TRANSIENT = ["ThrottlingException", "InternalServiceError"]
LASTING = [("LimitExceededException", 2), ("AccessDeniedException", 1)]  # and how often the SDK tries


def abandoned_phone(wire: Wire) -> SipPhones:
    """A phone whose reset crashed before it was published."""
    phone = imported()
    wire.crash("PutSecretValue", when="before")
    with pytest.raises(Crash):
        app.services().resets.reset(phone.id, changed_by="test", changed_via="http")
    return stored(phone.id)


@pytest.mark.parametrize(("code", "attempts"), LASTING)
def test_a_phone_that_keeps_failing_backs_off_and_recovers(
    wire: Wire, mirrored: Mirrored, code: str, attempts: int
) -> None:
    phone = abandoned_phone(wire)
    passed = PUBLISHER_LIFE + timedelta(seconds=5)
    for failures in range(12):
        wire.refuse("PutSecretValue", code, times=attempts)
        result = sweep(passed)
        assert counts(result) == {"due": 1, "rotated": 0, "completed": 0, "failed": 1, "left": 0}
        assert result.oldest_unsettled > PUBLISHER_LIFE
        now = stored(phone.id)
        assert now.tend_failures == failures + 1
        pause = now.tend_at - (app.services().clock() + passed)
        expected = min(FIRST_BACK_OFF * 2**failures, LONGEST_BACK_OFF)
        assert expected - timedelta(seconds=10) < pause <= expected + timedelta(seconds=1)
        assert counts(sweep(passed + pause - timedelta(seconds=20)))["due"] == 0
        passed += pause + timedelta(seconds=10)
    assert counts(sweep(passed))["completed"] == 1
    assert assert_settled(phone.id, mirrored).tend_failures is None


@pytest.mark.parametrize("code", TRANSIENT)
def test_an_outage_is_no_reason_to_back_off(wire: Wire, mirrored: Mirrored, code: str) -> None:
    phone = abandoned_phone(wire)
    passed = PUBLISHER_LIFE + timedelta(seconds=5)
    for _ in range(3):
        wire.refuse("PutSecretValue", code, status=500 if code.startswith("Internal") else 400, times=2)
        assert counts(sweep(passed))["failed"] == 1
    assert counts(sweep(passed))["completed"] == 1
    assert_settled(phone.id, mirrored)


def test_a_phone_that_is_reset_while_it_is_put_off_is_completed_in_time(wire: Wire) -> None:
    now = app.services().clock()
    resets = Resets(app.services().publisher, lambda: now)  # both resets in one second
    phone = imported()
    seen: list[SipPhones] = []
    for _ in range(2):
        wire.crash("PutSecretValue", when="before")
        with pytest.raises(Crash):
            resets.reset(phone.id, changed_by="test", changed_via="http")
        seen.append(stored(phone.id))
    with pytest.raises(ConditionFailed):
        phone_writes.postpone(seen[0], until=now + HOUR)
    assert stored(phone.id).tend_at == seen[1].tend_at


def test_a_failure_counts_although_the_answer_to_putting_the_phone_off_was_lost(wire: Wire) -> None:
    phone = abandoned_phone(wire)
    wire.refuse("PutSecretValue", "AccessDeniedException")
    wire.hold("UpdateItem", until=lambda: None)  # the attempt to rotate
    wire.lose_answer("UpdateItem")
    assert counts(sweep(PUBLISHER_LIFE + timedelta(seconds=5)))["failed"] == 1
    assert stored(phone.id).tend_failures == 1


def test_a_phone_that_fails_keeps_no_other_waiting(wire: Wire, mirrored: Mirrored) -> None:
    failing = abandoned_phone(wire)
    others = [due_phone() for _ in range(5)]
    one_worker = replace(later(PUBLISHER_LIFE + timedelta(minutes=1)), workers=1)
    for phone in others:
        phone_writes.reschedule(phone, due=one_worker.clock() - timedelta(seconds=1))  # after the failing one
    wire.refuse("PutSecretValue", "AccessDeniedException")
    assert counts(one_worker.tend(lambda: HOUR)) == {
        "due": 6,
        "rotated": 5,
        "completed": 0,
        "failed": 1,
        "left": 0,
    }
    for phone in others:
        assert_settled(phone.id, mirrored)
    assert stored(failing.id).unsettled


def test_a_phone_that_nothing_can_be_done_with_is_counted_and_logged(service_log: list[dict[str, Any]]) -> None:
    broken = due_phone()
    broken.update(actions=[SipPhones.unsettled.set({"x" * 32}), SipPhones.credentials_changed_at.remove()])
    healthy = due_phone()
    assert counts(sweep()) == {"due": 2, "rotated": 1, "completed": 0, "failed": 1, "left": 0}
    assert pair_of(stored(healthy.id)) != pair_of(healthy)
    assert [line["sipPhoneId"] for line in service_log if line["level"] == "ERROR"] == [broken.id]


@pytest.mark.parametrize("operation", ["PutSecretValue", "PutEvents"])
def test_a_sweep_starts_no_more_rotations_when_aws_is_out_of_order(wire: Wire, operation: str) -> None:
    phones = [due_phone() for _ in range(OUT_OF_ORDER + 7)]
    wire.refuse(operation, "ThrottlingException", times=100)
    one_worker = replace(later(timedelta(0)), workers=1)
    result = one_worker.tend(lambda: HOUR)
    changed = sum(pair_of(stored(phone.id)) != pair_of(phone) for phone in phones)
    assert changed == result.rotated <= OUT_OF_ORDER + 1
    assert result.left == len(phones) - result.rotated


def test_a_sweep_that_runs_short_of_time_leaves_the_rest_to_the_next(mirrored: Mirrored) -> None:
    phones = [due_phone() for _ in range(5)]
    budget = iter([HOUR, HOUR, RESERVE - timedelta(seconds=1)])
    first = replace(later(timedelta(0)), workers=1).tend(lambda: next(budget))
    assert counts(first) == {"due": 5, "rotated": 2, "completed": 0, "failed": 0, "left": 3}
    assert counts(sweep()) == {"due": 3, "rotated": 3, "completed": 0, "failed": 0, "left": 0}
    for phone in phones:
        assert pair_of(assert_settled(phone.id, mirrored)) != pair_of(phone)


@pytest.mark.engine("roto")  # real threads; moto's table is not made for them
def test_two_sweeps_at_once_rotate_each_phone_once(mirrored: Mirrored) -> None:
    phones = [due_phone() for _ in range(40)]
    together = threading.Barrier(2)

    def one_sweep(_: int) -> Sweep:
        together.wait(20)
        return sweep()

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(one_sweep, range(2)))
    assert sum(result.rotated for result in results) == len(phones)
    assert sum(result.failed for result in results) == 0
    for phone in phones:
        assert pair_of(assert_settled(phone.id, mirrored)) != pair_of(phone)


def test_a_rotation_whose_answer_was_lost_is_not_made_twice(wire: Wire, mirrored: Mirrored) -> None:
    phone = due_phone()
    committed: list[SipPhones] = []
    wire.lose_answer("UpdateItem", then=lambda: committed.append(stored(phone.id)))
    assert counts(sweep())["rotated"] == 1
    assert pair_of(assert_settled(phone.id, mirrored)) == pair_of(committed[0])


def test_a_reset_between_the_agenda_and_the_rotation_counts(wire: Wire) -> None:
    phone = due_phone()
    between: list[SipPhones] = []
    reset = app.services().resets.reset
    wire.hold(
        "UpdateItem",
        until=lambda: between.append(reset(phone.id, changed_by="test", changed_via="http").phone),
    )
    assert counts(sweep()) == {"due": 1, "rotated": 0, "completed": 0, "failed": 0, "left": 0}
    assert pair_of(stored(phone.id)) == pair_of(between[0])


def test_the_agenda_out_of_reach_is_said_and_changes_nothing(wire: Wire) -> None:
    phone = due_phone()
    wire.drop("Query", times=3)
    with pytest.raises(Unavailable):
        sweep()
    assert pair_of(stored(phone.id)) == pair_of(phone)


def test_back_off_doubles_from_five_minutes_to_a_day() -> None:
    minutes = [back_off(failures) / timedelta(minutes=1) for failures in range(11)]
    assert minutes == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]
    assert back_off(10_000) == LONGEST_BACK_OFF
