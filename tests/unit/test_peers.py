"""The peers of the benchmarks do what they are measured at: each resets a phone whole."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.handlers
import pytest

from bench import contenders
from bench.contenders import CALLER, DIRECT, FOUR_STEP, OVER_HTTP, RAW, SERVICE, TWO_CALLS, Batch
from bench.processes import process
from bench.traffic import NONE
from chalicelib.phones import SipPhones
from tests.support.fleet import imported, pair_of, stored

# roto: the peers run in processes of their own.
pytestmark = pytest.mark.engine("roto")

Mirrored = Callable[[str], dict[str, Any]]
REQUESTS = {SERVICE: 4, RAW: 4, TWO_CALLS: 2, FOUR_STEP: 14}  # the frameworks' peers: read, write, secret, event


def phone_of_the_caller() -> SipPhones:
    return imported(customer=CALLER["customer"], reseller="R", rotationDays=30)


def reset_seen(name: str, phone_id: str) -> tuple[Batch, list[str]]:
    """What a reset by the contender took, and the bodies of the requests by which it told the bus."""
    told: list[str] = []

    def look(request: Any, **_rest: Any) -> None:
        told.append(request.body.decode())

    botocore.handlers.BUILTIN_HANDLERS.append(("before-send.eventbridge.PutEvents", look))
    return contenders.resets(name, [phone_id], NONE), told


@pytest.mark.parametrize("name", [*OVER_HTTP, *DIRECT])
def test_a_contender_leaves_a_new_pair_in_the_table_and_the_secret_and_tells_the_bus(
    engine: str, mirrored: Mirrored, name: str
) -> None:
    assert engine
    phone = phone_of_the_caller()
    with process() as contender:
        batch, told = contender.submit(reset_seen, name, phone.id).result()

    now = stored(phone.id)
    copy = mirrored(phone.id)
    assert not {*pair_of(now)} & {*pair_of(phone)}
    assert (copy["username"], copy["password"]) == pair_of(now)
    assert batch.requests.total() == REQUESTS.get(name, 4)
    if name == TWO_CALLS:
        assert told == []
        return
    assert now.credentials_id == copy["versionId"] == copy["credentialsId"]
    assert not now.unsettled
    (body,) = told
    (entry,) = json.loads(body)["Entries"]
    assert (entry["EventBusName"], entry["DetailType"]) == ("sip-phones", "SIP Phone Credentials Reset")
    detail = json.loads(entry["Detail"])
    assert (detail["sipPhoneId"], detail["credentialsId"]) == (phone.id, now.credentials_id)
    assert not any(secret in body for secret in pair_of(now))


def test_the_bare_calls_are_those_of_the_service(engine: str) -> None:
    assert engine
    sent: dict[str, Counter[str]] = {}
    for name in (SERVICE, RAW):
        with process() as contender:
            sent[name] = (
                contender.submit(contenders.resets, name, [phone_of_the_caller().id], NONE).result().requests
            )
    assert sent[SERVICE] == sent[RAW]


@pytest.mark.parametrize("name", OVER_HTTP)
def test_a_contender_does_not_reset_a_foreign_phone(engine: str, name: str) -> None:
    assert engine
    foreign = imported(customer="somebody else")
    with process() as contender, pytest.raises(RuntimeError, match="a reset was answered with 404"):
        contender.submit(contenders.resets, name, [foreign.id], NONE).result()
    assert pair_of(stored(foreign.id)) == pair_of(foreign)
