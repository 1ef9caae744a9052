"""The peers of the benchmarks do what they are measured at: each resets a phone whole."""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.handlers
import pytest

from bench import contenders
from bench.contenders import CALLER, DIRECT, FOUR_STEP, OVER_HTTP, RAW, SERVICE, TWO_CALLS
from bench.processes import process
from bench.traffic import NONE
from chalicelib.phones import SipPhones
from tests.support.fleet import imported, pair_of, stored

# roto: the peers run in processes of their own.
pytestmark = pytest.mark.engine("roto")

DIGEST = re.compile(r"[0-9a-f]{32}")
Mirrored = Callable[[str], dict[str, Any]]
REQUESTS = {SERVICE: 4, RAW: 4, TWO_CALLS: 2, FOUR_STEP: 14}  # the frameworks' peers: read, write, secret, event


def phone_of_the_caller() -> SipPhones:
    return imported(customer=CALLER["customer"], reseller="R", rotationDays=30)


Sent = list[tuple[str, dict[str, Any]]]


def reset_seen(name: str, phone_id: str) -> Sent:
    """The requests of a reset by the contender: operation and body."""
    sent: Sent = []

    def look(request: Any, event_name: str, **_rest: Any) -> None:
        sent.append((event_name.rsplit(".", 1)[1], json.loads(request.body)))

    botocore.handlers.BUILTIN_HANDLERS.append(("before-send", look))
    contenders.resets(name, [phone_id], NONE)
    return sent


def requests_of(name: str, phone: SipPhones) -> Sent:
    with process() as contender:
        return contender.submit(reset_seen, name, phone.id).result()


@pytest.mark.parametrize("name", [*OVER_HTTP, *DIRECT])
def test_a_contender_leaves_a_new_pair_in_the_table_and_the_secret_and_tells_the_bus(
    engine: str, mirrored: Mirrored, name: str
) -> None:
    assert engine
    phone = phone_of_the_caller()
    sent = requests_of(name, phone)

    now = stored(phone.id)
    copy = mirrored(phone.id)
    assert not {*pair_of(now)} & {*pair_of(phone)}
    assert (copy["username"], copy["password"]) == pair_of(now)
    assert len(sent) == REQUESTS.get(name, 4)
    told = [body for operation, body in sent if operation == "PutEvents"]
    if name == TWO_CALLS:
        assert told == []
        return
    assert now.credentials_id == copy["versionId"] == copy["credentialsId"]
    assert not now.unsettled
    (body,) = told
    (entry,) = body["Entries"]
    assert (entry["EventBusName"], entry["DetailType"]) == ("sip-phones", "SIP Phone Credentials Reset")
    detail = json.loads(entry["Detail"])
    assert (detail["sipPhoneId"], detail["credentialsId"]) == (phone.id, now.credentials_id)
    assert now.password not in json.dumps(body)


def test_the_bare_calls_are_those_of_the_service(engine: str) -> None:
    assert engine
    sent = {name: requests_of(name, phone_of_the_caller()) for name in (SERVICE, RAW)}
    operations = {name: Counter(operation for operation, _ in made) for name, made in sent.items()}
    assert operations[SERVICE] == operations[RAW]
    updates = {
        name: [body for operation, body in made if operation == "UpdateItem"] for name, made in sent.items()
    }
    for ours, bare in zip(updates[SERVICE], updates[RAW], strict=True):
        text = json.dumps(bare)
        names = {name for name in ours["ExpressionAttributeNames"].values() if not DIGEST.fullmatch(name)}
        assert {name for name in names if name not in text} == set()


@pytest.mark.parametrize("name", OVER_HTTP)
def test_a_contender_does_not_reset_a_foreign_phone(engine: str, name: str) -> None:
    assert engine
    foreign = imported(customer="somebody else")
    with process() as contender, pytest.raises(RuntimeError, match="a reset was answered with 404"):
        contender.submit(contenders.resets, name, [foreign.id], NONE).result()
    assert pair_of(stored(foreign.id)) == pair_of(foreign)
