"""Imports against the table, the mirror and the bus."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import app
from chalicelib.access import EVERY_PHONE
from ops.importing import Outcome
from tests.support.aws import Wire
from tests.support.fleet import import_lines, new_owner, new_phone_id, pair_of, stored

Mirrored = Callable[[str], dict[str, Any]]
pytestmark = pytest.mark.usefixtures("engine")


def a_phone(**properties: Any) -> dict[str, Any]:
    return {"_id": new_phone_id(), "customer": new_owner(), **properties}


def outcome_of(phone: dict[str, Any]) -> Outcome:
    (result,) = import_lines(json.dumps(phone))
    return result.outcome


def test_a_phone_that_brings_its_credentials_keeps_them(mirrored: Mirrored) -> None:
    phone = a_phone(username="reception", password="a pass-word:1".replace(" ", "_"))
    assert outcome_of(phone) is Outcome.ADDED
    assert pair_of(stored(phone["_id"])) == (phone["username"], phone["password"])
    assert mirrored(phone["_id"])["password"] == phone["password"]


def test_a_phone_without_credentials_gets_a_pair(mirrored: Mirrored) -> None:
    phone = a_phone()
    assert outcome_of(phone) is Outcome.ADDED
    now = stored(phone["_id"])
    assert len(now.username) == len(now.password) == 32
    assert mirrored(phone["_id"])["password"] == now.password
    assert mirrored(phone["_id"])["versionId"] == now.credentials_id
    assert now.changed_via == "import"
    assert not now.unsettled


def test_importing_a_file_again_changes_nothing(wire: Wire) -> None:
    phones = [a_phone(), a_phone(username="u", password="p", softkeys=[{"index": 0, "function": "DND"}])]
    lines = [json.dumps(phone) for phone in phones]
    import_lines(*lines)
    before = [stored(phone["_id"]).to_simple_dict(force=True) for phone in phones]
    with wire.recorded() as sent:
        results = import_lines(*lines)

    assert [result.outcome for result in results] == [Outcome.UNCHANGED] * 2
    assert sorted(sent) == ["GetItem", "GetItem", "PutItem", "PutItem"]
    assert [stored(phone["_id"]).to_simple_dict(force=True) for phone in phones] == before


def test_an_import_never_brings_back_a_pair_that_was_replaced(mirrored: Mirrored) -> None:
    phone = a_phone(username="leaked", password="leaked")
    outcome_of(phone)
    reset = app.services().resets.reset(phone["_id"], scope=EVERY_PHONE, changed_by="test", changed_via="http")
    assert outcome_of(phone) is Outcome.UNCHANGED
    assert pair_of(stored(phone["_id"])) == pair_of(reset.phone)
    assert mirrored(phone["_id"])["password"] == reset.phone.password


def test_changed_properties_are_taken_over_and_the_pair_stays() -> None:
    phone = a_phone(notes="old", extension="12", ip={"mode": "OPEN"})
    outcome_of(phone)
    before = stored(phone["_id"])
    changed = {**phone, "notes": "new", "extension": None, "network": {"vlanId": 7}}
    del changed["ip"]

    assert outcome_of(changed) is Outcome.CHANGED
    after = stored(phone["_id"])
    expected = {**before.document(), "notes": "new", "network": {"vlanId": "7"}}
    del expected["extension"]
    assert after.document() == expected
    assert not after.unsettled
    assert outcome_of(changed) is Outcome.UNCHANGED


def test_a_phone_that_changes_hands_has_its_new_owner_in_the_mirror(mirrored: Mirrored) -> None:
    phone = a_phone()
    outcome_of(phone)
    before = stored(phone["_id"])
    assert outcome_of({**phone, "customer": "NEW"}) is Outcome.CHANGED

    after = stored(phone["_id"])
    copy = mirrored(phone["_id"])
    assert copy["customer"] == after.customer == "NEW"
    assert copy["password"] == after.password == before.password
    assert copy["credentialsId"] == before.credentials_id
    assert not after.unsettled


def test_a_new_rotation_period_moves_the_due_date() -> None:
    phone = a_phone(rotationDays=30)
    outcome_of(phone)
    assert 27 <= (stored(phone["_id"]).tend_at - stored(phone["_id"]).credentials_changed_at).days <= 33
    outcome_of({**phone, "rotationDays": 0})
    assert stored(phone["_id"]).tend_at is None
    outcome_of({**phone, "rotationDays": 300})
    assert 269 <= (stored(phone["_id"]).tend_at - stored(phone["_id"]).credentials_changed_at).days <= 330


def test_an_interrupted_import_is_completed_by_the_next(wire: Wire, mirrored: Mirrored) -> None:
    phone = a_phone()
    wire.drop("CreateSecret", times=2)
    (first,) = import_lines(json.dumps(phone))
    assert (first.outcome, first.pending) == (Outcome.ADDED, True)
    assert stored(phone["_id"]).unsettled

    (second,) = import_lines(json.dumps(phone))
    assert (second.outcome, second.pending) == (Outcome.UNCHANGED, False)
    assert mirrored(phone["_id"])["password"] == stored(phone["_id"]).password
    assert not stored(phone["_id"]).unsettled


def test_a_phone_whose_answer_was_lost_counts_as_added(wire: Wire) -> None:
    wire.lose_answer("PutItem")
    assert outcome_of(a_phone()) is Outcome.ADDED


OWNERS = [{"customer": "C1", "reseller": None}, {"customer": "C2", "reseller": "R2"}]


@pytest.mark.parametrize(("ours", "theirs"), [OWNERS, OWNERS[::-1]])
def test_two_imports_at_once_do_not_mix_their_owners(
    wire: Wire, mirrored: Mirrored, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    phone = a_phone(customer="C1", reseller="R2")
    outcome_of(phone)
    wire.hold("UpdateItem", until=lambda: outcome_of({**phone, **theirs}))
    assert outcome_of({**phone, **ours}) is Outcome.CHANGED

    now = stored(phone["_id"])
    assert {"customer": now.customer, "reseller": now.reseller} == ours
    assert mirrored(now.id)["customer"] == ours["customer"]


@pytest.mark.parametrize("change", [{"customer": "NEW"}, {"notes": "new"}])
def test_a_change_whose_answer_was_lost_counts_as_made(
    wire: Wire, mirrored: Mirrored, change: dict[str, Any]
) -> None:
    phone = a_phone()
    outcome_of(phone)
    wire.lose_answer("UpdateItem")
    (result,) = import_lines(json.dumps({**phone, **change}))
    assert (result.outcome, result.pending) == (Outcome.CHANGED, False)
    assert not stored(phone["_id"]).unsettled
    assert mirrored(phone["_id"])["customer"] == {**phone, **change}["customer"]


def test_a_table_out_of_reach_fails_the_record_and_no_other(wire: Wire) -> None:
    wire.drop("PutItem", times=3)
    (failed,) = import_lines(json.dumps(a_phone()))
    assert (failed.outcome, failed.reason) == (
        Outcome.FAILED, "DynamoDB did not answer; import the file again"
    )  # fmt: skip
    assert outcome_of(a_phone()) is Outcome.ADDED


def test_bad_records_are_reported_with_their_lines_and_the_good_ones_go_in() -> None:
    good = [a_phone(), a_phone()]
    results = import_lines(
        json.dumps(good[0]), "{", json.dumps({**a_phone(), "pbxCluster": 9}), json.dumps(good[1])
    )
    assert [(result.line, result.outcome) for result in results] == [
        (1, Outcome.ADDED), (2, Outcome.REFUSED), (3, Outcome.REFUSED), (4, Outcome.ADDED)
    ]  # fmt: skip
    assert all(stored(phone["_id"]) for phone in good)


@pytest.mark.engine("roto")  # moto gets slow for everybody with so many phones
def test_more_phones_than_fit_a_batch_go_in_in_their_order() -> None:
    results = import_lines(*(json.dumps(a_phone()) for _ in range(600)))
    assert [result.line for result in results] == list(range(1, 601))
    assert {result.outcome for result in results} == {Outcome.ADDED}
