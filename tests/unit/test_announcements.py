"""What the rest of the estate hears of a reset."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib.access import EVERY_PHONE
from chalicelib.clock import timestamp
from tests.support.aws import Wire
from tests.support.fleet import imported


@pytest.fixture
def entries(wire: Wire) -> Iterator[list[dict[str, Any]]]:
    """The entries of every PutEvents request, as they were sent."""
    seen: list[dict[str, Any]] = []

    def look(request: AWSPreparedRequest) -> None:
        seen.extend(json.loads(cast(bytes, request.body))["Entries"])

    with wire.watched("PutEvents", look):
        yield seen


def test_a_reset_is_announced_once_with_who_and_how_and_no_secret(entries: list[dict[str, Any]]) -> None:
    phone = imported(reseller="R", pbxCluster=1, extension="X", macAddress="4EE8A34B56F3", sipPhoneModel="M")
    del entries[:]
    reset = (
        app.services().resets.reset(phone.id, scope=EVERY_PHONE, changed_by="the caller", changed_via="http").phone
    )

    (entry,) = entries
    assert entry["Source"] == "sipphone.credentials"
    assert entry["DetailType"] == "SIP Phone Credentials Reset"
    assert entry["EventBusName"] == "sip-phones"
    assert json.loads(entry["Detail"]) == {
        "sipPhoneId": phone.id,
        "customer": phone.customer,
        "reseller": "R",
        "pbxCluster": 1,
        "extension": "X",
        "macAddress": "4EE8A34B56F3",
        "sipPhoneModel": "M",
        "username": reset.username,
        "previousUsername": phone.username,
        "graceUntil": None,
        "credentialsId": reset.credentials_id,
        "changedAt": timestamp(reset.credentials_changed_at),
        "changedVia": "http",
        "changedBy": "the caller",
        "reason": None,
        "secretName": f"sip-phones/{phone.id}",
    }
    assert reset.password not in json.dumps(entries)
    assert phone.password not in json.dumps(entries)


def test_an_imported_phone_is_announced(entries: list[dict[str, Any]]) -> None:
    phone = imported()
    (detail,) = (json.loads(entry["Detail"]) for entry in entries)
    assert (detail["sipPhoneId"], detail["changedVia"]) == (phone.id, "import")


@pytest.mark.engine("roto")  # answers as EventBridge does: 200, and the entry's error inside
@pytest.mark.usefixtures("engine")
def test_an_entry_that_the_bus_refuses_is_not_taken_for_announced() -> None:
    phone = imported()
    publisher = app.services().publisher
    announcements = dataclasses.replace(publisher.announcements, bus="no-such-bus")
    nowhere = dataclasses.replace(publisher, announcements=announcements)
    resets = dataclasses.replace(app.services().resets, publisher=nowhere)
    reset = resets.reset(phone.id, changed_by="test", changed_via="http")
    assert not reset.mirrored
    assert reset.phone.unsettled == {reset.phone.credentials_id}
