"""Planned rotation: dates over a window, once for each request, and back."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

import app
from chalicelib.phones import SipPhones, shard_of
from chalicelib.planning import RESERVE, LeftOut, Plan, Selection, Window
from tests.support.aws import Wire
from tests.support.fleet import import_lines, imported, new_owner, new_phone_id, pair_of, stored

pytestmark = pytest.mark.usefixtures("engine")

CONFIGURED = {"configLoaded": "2026-01-05T08:00:00Z"}
HOUR = timedelta(hours=1)


def window(length: timedelta = 4 * HOUR) -> Window:
    return Window(app.services().clock().replace(microsecond=0) + HOUR, length)


def plan(
    selection: Selection,
    over: Window | None = None,
    *,
    key: str = "k",
    dry_run: bool = False,
    time_left: Iterable[timedelta] = (),
) -> Plan:
    budget = iter(time_left)
    return app.services().planning.plan(
        selection, over, request_key=key, dry_run=dry_run, time_left=lambda: next(budget, HOUR)
    )


def phones(number: int = 1, **properties: Any) -> tuple[Selection, list[str]]:
    """Phones of one customer, who has no others."""
    customer = new_owner()
    made = [imported(**{"customer": customer, "status": CONFIGURED, **properties}) for _ in range(number)]
    return Selection(customer=customer), [phone.id for phone in made]


def dates(ids: list[str]) -> list[Any]:
    return [stored(phone_id).planned_rotation for phone_id in ids]


def test_each_phone_of_a_customer_gets_a_date_in_the_window() -> None:
    selection, ids = phones(5)
    over = window()
    planned = plan(selection, over)

    assert (planned.phones, planned.left_out, planned.complete) == (5, Counter(), True)
    assert all(over.start <= date <= over.start + over.length for date in dates(ids))
    assert (planned.first_due, planned.last_due) == (min(dates(ids)), max(dates(ids)))
    assert [stored(phone_id).tend_at for phone_id in ids] == dates(ids)


def test_the_dates_are_spread_evenly() -> None:
    over = window()
    quarters = Counter(
        (over.date(new_phone_id(), "digest") - over.start) // (over.length / 4) for _ in range(4_000)
    )
    assert all(900 <= quarters[quarter] <= 1_100 for quarter in range(4))


def test_listed_phones_are_planned_and_unknown_ones_counted() -> None:
    _, ids = phones(2)
    planned = plan(Selection(phone_ids=[*ids, new_phone_id()]), window())
    assert (planned.phones, planned.left_out) == (2, {LeftOut.NOT_FOUND: 1})


def test_the_fleet_is_everybody() -> None:
    _, ids = phones(2)
    planned = plan(Selection(), window(), dry_run=True)
    assert planned.phones >= 2
    assert dates(ids) == [None, None]


def test_a_hundred_and_fifty_listed_phones_are_read_in_parts() -> None:
    _, ids = phones(3)
    planned = plan(Selection(phone_ids=[*ids, *(new_phone_id() for _ in range(147))]), window())
    assert (planned.phones, planned.left_out) == (3, {LeftOut.NOT_FOUND: 147})


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"rotationDays": 0}, LeftOut.ROTATION_OFF),
        ({"status": {"online": True}}, LeftOut.NEVER_FETCHED_CONFIGURATION),
        ({"status": None}, LeftOut.NEVER_FETCHED_CONFIGURATION),
    ],
)
def test_a_phone_that_may_not_be_rotated_is_left_out_and_counted(
    properties: dict[str, Any], reason: LeftOut
) -> None:
    selection, ids = phones(**properties)
    planned = plan(selection, window())
    assert (planned.phones, planned.left_out) == (0, {reason: 1})
    assert dates(ids) == [None]


def test_a_phone_with_a_period_of_its_own_needs_no_configuration() -> None:
    selection, _ = phones(rotationDays=30, status=None)
    assert plan(selection, window()).phones == 1


def test_a_phone_that_is_being_reset_is_left_out(wire: Wire) -> None:
    selection, ids = phones()
    wire.refuse("PutSecretValue", "AccessDeniedException")
    app.services().resets.reset(ids[0], changed_by="test", changed_via="http")
    before = stored(ids[0]).tend_at
    assert plan(selection, window()).left_out == {LeftOut.CHANGING: 1}
    assert stored(ids[0]).tend_at == before  # bringing it forward would break into the publisher's time


def test_a_dry_run_answers_what_would_happen_and_writes_nothing(wire: Wire) -> None:
    selection, ids = phones(3)
    over = window()
    with wire.recorded() as sent:
        tried = plan(selection, over, dry_run=True)
    assert {*sent} == {"Query", "BatchGetItem"}
    assert dates(ids) == [None] * 3
    done = plan(selection, over)
    assert (tried.phones, tried.first_due, tried.last_due) == (done.phones, done.first_due, done.last_due)
    assert (tried.dry_run, done.dry_run) == (True, False)


def test_the_same_key_changes_nothing_and_answers_the_same(wire: Wire) -> None:
    selection, ids = phones(3)
    first = plan(selection, window())
    before = dates(ids)
    with wire.recorded() as sent:
        again = plan(selection, window(9 * HOUR))
    assert "UpdateItem" not in sent
    assert dates(ids) == before
    assert (again.phones, again.first_due, again.last_due) == (first.phones, first.first_due, first.last_due)


def test_another_key_plans_anew() -> None:
    selection, ids = phones(3)
    plan(selection, window())
    before = dates(ids)
    plan(selection, window(), key="another")
    assert dates(ids) != before


def test_a_phone_that_was_reset_meanwhile_is_not_planned_again_by_the_same_key() -> None:
    selection, ids = phones()
    plan(selection, window())
    app.services().resets.reset(ids[0], changed_by="test", changed_via="http")
    assert dates(ids) == [None]
    planned = plan(selection, window())
    assert (planned.phones, planned.first_due) == (1, None)
    assert dates(ids) == [None]


@pytest.mark.parametrize("days", [30, None])
def test_cancelling_gives_the_regular_date_back(days: int | None) -> None:
    selection, ids = phones(rotationDays=days)
    regular = stored(ids[0]).tend_at
    assert (regular is None) == (days is None)
    plan(selection, window())
    cancelled = plan(selection, None)

    assert (cancelled.phones, cancelled.first_due) == (1, regular)
    assert stored(ids[0]).tend_at == regular
    assert dates(ids) == [None]
    assert plan(selection, None).left_out == {LeftOut.UNCHANGED: 1}


def test_a_cancellation_that_is_delivered_again_leaves_a_newer_plan() -> None:
    selection, ids = phones()
    plan(selection, window(), key="first plan")
    plan(selection, None, key="cancel")
    plan(selection, window(), key="second plan")
    newer = dates(ids)
    assert plan(selection, None, key="cancel").left_out == {LeftOut.UNCHANGED: 1}
    assert dates(ids) == newer


def test_a_dry_run_of_cancelling_leaves_the_plan() -> None:
    selection, ids = phones()
    plan(selection, window())
    assert plan(selection, None, dry_run=True).phones == 1
    assert dates(ids) != [None]


@pytest.mark.engine("roto")  # moto gets slow for everybody with so many phones
def test_a_call_that_runs_short_of_time_says_so_and_the_next_one_goes_on() -> None:
    customer = new_owner()
    records: list[dict[str, Any]] = [
        {"_id": new_phone_id(), "customer": customer, "status": CONFIGURED} for _ in range(300)
    ]
    import_lines(*(json.dumps(record) for record in records))
    over = window()
    first = plan(Selection(customer=customer), over, time_left=[RESERVE - timedelta(seconds=1)])
    assert (first.complete, first.phones) == (False, 256)
    second = plan(Selection(customer=customer), over)
    assert (second.complete, second.phones) == (True, 300)
    assert sum(stored(record["_id"]).planned_rotation is None for record in records[::30]) == 0


def test_a_plan_survives_an_import_that_changes_the_phone() -> None:
    selection, ids = phones()
    plan(selection, window())
    before = dates(ids)
    phone = stored(ids[0])
    import_lines(json.dumps({"_id": phone.id, "customer": phone.customer, "notes": "moved"}))
    after = stored(phone.id)
    assert after.notes == "moved"
    assert [after.planned_rotation] == [after.tend_at] == before


def test_a_phone_that_was_not_made_by_our_import_can_be_planned() -> None:
    selection, ids = phones()
    stored(ids[0]).update(actions=[SipPhones.recent_requests.remove()])
    assert plan(selection, window()).phones == 1
    assert dates(ids) != [None]
    assert plan(selection, window()).first_due == dates(ids)[0]


def test_a_reset_that_comes_between_reading_and_planning_wins(wire: Wire) -> None:
    selection, ids = phones()
    reset = app.services().resets.reset
    wire.hold("UpdateItem", until=lambda: reset(ids[0], changed_by="test", changed_via="http"))
    planned = plan(selection, window())
    # The phone was reset and settled before the plan's write, which is tried again on what was found.
    assert planned.phones == 1
    assert stored(ids[0]).planned_rotation == planned.first_due == stored(ids[0]).tend_at


def test_a_cancellation_knows_of_a_rotation_period_that_was_set_meanwhile(wire: Wire) -> None:
    selection, (phone_id,) = phones()
    plan(selection, window(), key="plan")
    line = json.dumps({"_id": phone_id, "customer": stored(phone_id).customer, "rotationDays": 30})
    wire.hold("UpdateItem", lambda: import_lines(line))
    plan(selection, key="cancel")
    phone = stored(phone_id)
    assert phone.rotation_days == 30
    assert phone.tend_at == phone.due(0)


def test_a_reset_with_the_key_of_a_plan_is_a_request_of_its_own() -> None:
    selection, ids = phones()
    before = stored(ids[0])
    plan(selection, window(), key="ticket-4711")
    reset = app.services().resets.reset(ids[0], changed_by="test", changed_via="http", request_key="ticket-4711")
    assert not reset.replayed
    assert pair_of(stored(ids[0])) != pair_of(before)


def test_a_plan_with_the_key_of_a_reset_is_a_request_of_its_own() -> None:
    selection, ids = phones()
    app.services().resets.reset(ids[0], changed_by="test", changed_via="http", request_key="ticket-4711")
    planned = plan(selection, window(), key="ticket-4711")
    assert dates(ids) == [planned.first_due] != [None]


def test_cancelling_puts_a_phone_that_was_not_made_by_our_import_on_the_agenda() -> None:
    selection, ids = phones(rotationDays=30)
    stored(ids[0]).update(actions=[SipPhones.tend_shard.remove(), SipPhones.tend_at.remove()])
    assert plan(selection, None).phones == 1
    due = stored(ids[0]).tend_at
    on_the_agenda = SipPhones.agenda.query(shard_of(ids[0]), SipPhones.tend_at == due)
    assert ids[0] in [phone.id for phone in on_the_agenda]
