"""What a reset costs, counted from what the SDK sends."""

import pytest

import app
from chalicelib.access import EVERY_PHONE, Scope
from chalicelib.errors import NotFound
from chalicelib.resets import Reset
from tests.support.aws import Wire
from tests.support.fleet import imported, new_phone_id


def reset(phone_id: str, *, scope: Scope = EVERY_PHONE, key: str | None = None) -> Reset:
    return app.services().resets.reset(
        phone_id, scope=scope, changed_by="test", changed_via="http", request_key=key
    )


@pytest.mark.parametrize("key", [None, "k"])
def test_a_reset_of_a_mirrored_phone_is_four_calls(wire: Wire, key: str | None) -> None:
    phone = imported()
    with wire.recorded() as sent:
        reset(phone.id, scope=Scope("customer", phone.customer), key=key)
    assert sent[0] == "UpdateItem"
    assert sorted(sent[1:3]) == ["PutEvents", "PutSecretValue"]
    assert sent[3:] == ["UpdateItem"]


def test_a_refused_reset_is_the_write_and_one_read_whether_the_phone_is_missing_or_foreign(
    wire: Wire,
) -> None:
    foreign = imported().id
    for phone_id in (foreign, new_phone_id()):
        with wire.recorded() as sent, pytest.raises(NotFound):
            reset(phone_id, scope=Scope("customer", "somebody else"))
        assert sent == ["UpdateItem", "GetItem"]


def test_a_malformed_id_costs_no_call(wire: Wire) -> None:
    with wire.recorded() as sent, pytest.raises(NotFound):
        reset("not an id")
    assert sent == []


def test_an_import_of_a_new_phone_is_four_calls(wire: Wire) -> None:
    with wire.recorded() as sent:
        imported()
    assert sent[0] == "PutItem"
    assert sorted(sent[1:3]) == ["CreateSecret", "PutEvents"]
    assert sent[3] == "UpdateItem"
    assert sent[4:] == ["GetItem"]  # the test's own look at the phone
