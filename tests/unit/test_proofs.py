"""Proofs that come while somebody else is at work on the phone: its next date is right whoever writes last."""

import json

import pytest

import app
from chalicelib import phone_writes
from chalicelib.access import EVERY_PHONE
from tests.support.aws import Wire
from tests.support.fleet import import_lines, imported, stored
from tests.unit.test_grace import HOUR, clock, registrar, reset


def test_a_proof_before_the_reset_is_settled_brings_no_rotation_forward(wire: Wire) -> None:
    before = imported(rotationDays=30)

    def prove() -> None:
        registrar().registered(stored(before.id).username, scope=EVERY_PHONE)

    wire.hold("PutSecretValue", prove)
    now = reset(before, HOUR)
    assert now.adopted_at is not None
    app.services().publisher.complete(now)
    assert stored(before.id).tend_at == now.due(0)


def test_a_proof_while_the_reset_is_settled_brings_no_rotation_forward(wire: Wire) -> None:
    before = imported(rotationDays=30)
    wire.refuse("PutSecretValue", "AccessDeniedException")
    unsettled = reset(before, HOUR)

    def settle() -> None:
        app.services().publisher.publish(unsettled, unsettled.credentials_id)

    wire.hold("PutEvents", settle)
    assert registrar().registered(unsettled.username, scope=EVERY_PHONE).adopted
    now = stored(before.id)
    assert not now.unsettled
    assert now.tend_at == now.due(0)


def test_a_proof_leaves_a_plan_that_was_made_meanwhile_alone(wire: Wire) -> None:
    now = reset(imported(rotationDays=30))
    planned = clock(HOUR).replace(microsecond=0)
    wire.hold("PutEvents", lambda: phone_writes.reschedule(stored(now.id), due=planned, planned=True))
    assert registrar().registered(now.username, scope=EVERY_PHONE).adopted
    assert stored(now.id).tend_at == planned


@pytest.mark.parametrize("days", [0, 90])
def test_a_proof_knows_of_a_rotation_period_that_was_changed_meanwhile(wire: Wire, days: int) -> None:
    now = reset(imported(rotationDays=30), HOUR)
    line = json.dumps({"_id": now.id, "customer": now.customer, "rotationDays": days})
    wire.hold("PutEvents", lambda: import_lines(line))
    assert registrar().registered(now.username, scope=EVERY_PHONE).adopted
    after = stored(now.id)
    assert after.rotation_days == days
    assert after.tend_at == after.due(0)
