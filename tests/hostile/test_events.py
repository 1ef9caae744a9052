"""Events for the Lambda functions and the authorizer: whatever comes, they answer, or fail as their callers know it.

Step Functions matches on the names of `errors`, and Lambda writes the text of an error as UTF-8.
"""

import functools
import json
import math
import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app
from chalicelib.errors import ServiceError
from tests.hostile.conftest import Sent
from tests.support.api import HttpApi
from tests.support.fleet import admin, imported, pair_of, stored

pytestmark = pytest.mark.engine("roto")  # which refuses what DynamoDB refuses

FUZZED = 1_000
MEGABYTE = 1_000_000
LONGEST_ANSWER = 1_000


@functools.cache
def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class Deep:
    """Stands for a value of 100,000 levels, which nothing could print."""

    def __repr__(self) -> str:
        return "100,000 levels"


DEEP = Deep()
odd: st.SearchStrategy[Any] = st.sampled_from([
    None, True, False, 0, -1, 2**64, -(10**400), 1e308, math.nan, math.inf, "", " ", "\0", "a\0b", "\ud800", "\udfff x",
    "\U0010ffff", "\u202e", "x" * 300, "x" * MEGABYTE, "\u0665" * 24, "0" * 24, "P1D", "PT1S", "P", "2026-01-31T09:30:00Z",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "ADMIN", "OWNER", "true", [], {}, [[]], {"": ""}, DEEP,
])  # fmt: skip
texts = st.text(st.characters(codec=None), max_size=40)
junk = st.recursive(
    odd | texts | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def spoilt(event: st.SearchStrategy[dict[str, Any]], *names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Events with anything in up to two properties, of these names or others."""
    changes = st.dictionaries(st.sampled_from(names) | texts, junk, max_size=2)
    return st.builds(lambda good, bad: {**good, **bad}, event, changes)


PHONE = "the phone"
accepted_texts = st.text(min_size=1, max_size=20)
keys = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
users = spoilt(
    st.sampled_from([
        {"accessLevel": "ADMIN"}, {"accessLevel": "OWNER", "customer": "C"}, {"accessLevel": "RESELLER", "reseller": "R"},
    ]),
    "accessLevel", "customer", "reseller",
)  # fmt: skip
resets = spoilt(
    st.fixed_dictionaries(
        {"sipPhoneId": st.just(PHONE)},
        optional={
            "idempotencyKey": keys, "includeCredentials": st.booleans(), "reason": accepted_texts, "onBehalfOf": users,
        },
    ),
    "sipPhoneId", "idempotencyKey", "includeCredentials", "reason", "onBehalfOf", "accessLevel",
)  # fmt: skip
rotations = spoilt(
    st.builds(
        lambda whom, how: {**whom, **how},
        st.fixed_dictionaries({"customer": accepted_texts})
        | st.fixed_dictionaries({"sipPhoneIds": st.just([PHONE])})
        | st.just({"fleet": True}),
        st.fixed_dictionaries(
            {},
            optional={
                "over": st.sampled_from(["PT1H", "P1D"]), "notBefore": st.just("9998-12-31T23:59:59Z"),
                "idempotencyKey": keys, "dryRun": st.booleans(),
            },
        ),
    ),
    "customer", "sipPhoneIds", "fleet", "over", "notBefore", "idempotencyKey", "dryRun", "cancel",
)  # fmt: skip


def enveloped(detail: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Events of EventBridge with that detail, spoilt like it."""
    good = {
        "version": st.just("0"),
        "detail-type": accepted_texts,
        "source": accepted_texts,
        "id": keys,
        "detail": detail,
    }
    return spoilt(st.fixed_dictionaries(good), "detail-type", "source", "id", "detail")


def filled(value: Any, phone_id: str) -> Any:
    """``value`` with what only stood for something."""
    if value is DEEP:
        return nested(100_000)
    if isinstance(value, list):
        return [filled(item, phone_id) for item in value]
    if isinstance(value, dict):
        return {name: filled(item, phone_id) for name, item in value.items()}
    return phone_id if value == PHONE else value


def outcome(function: Callable[[Any, Any], Any], event: Any) -> str:
    """What becomes of an invocation: ``answered``, or the name of the error."""
    context = SimpleNamespace(aws_request_id=secrets.token_hex(16), get_remaining_time_in_millis=lambda: 60_000)
    try:
        answer = function(event, context)
    except ServiceError as error:
        text = str(error).encode()  # what Lambda does with it
        name = type(error).__name__
    else:
        text = json.dumps(answer, allow_nan=False).encode()
        name = "answered"
    assert name != "InternalError"
    assert len(text) <= LONGEST_ANSWER
    return name


@pytest.fixture(scope="module")
def phone_id(api: HttpApi) -> str:  # noqa: ARG001 - asks for the engine
    return imported().id


@settings(max_examples=FUZZED)
@given(event=junk | resets | enveloped(junk | resets))
def test_a_reset_is_asked_for_with_anything(phone_id: str, sent: Sent, event: Any) -> None:
    before = pair_of(stored(phone_id))
    became = outcome(app.reset_credentials, filled(event, phone_id))
    sent["events for reset_credentials"] += 1
    if became != "answered":
        assert pair_of(stored(phone_id)) == before


@settings(max_examples=FUZZED)
@given(event=junk | rotations | enveloped(junk | rotations))
def test_a_rotation_is_planned_with_anything(phone_id: str, sent: Sent, event: Any) -> None:
    before = pair_of(stored(phone_id))
    outcome(app.schedule_rotation, filled(event, phone_id))
    sent["events for schedule_rotation"] += 1
    assert pair_of(stored(phone_id)) == before


@settings(max_examples=50)
@given(event=junk)
def test_a_sweep_is_asked_for_with_anything(phone_id: str, sent: Sent, event: Any) -> None:
    sent["events for tend"] += 1
    assert outcome(app.tend, filled(event, phone_id)) == "answered"


header_pieces = st.sampled_from([
    "Bearer", "bearer", "BEARER", "Basic", "TOKEN", " ", "  ", "\t", "\n", "\0", "\u00a0", "\u0130", ",", "sipcred_", "_",
    "0" * 16, "0" * 64, "\u0665" * 16, "Authorization: ", "x" * MEGABYTE, "\ud800",
])  # fmt: skip
headers = st.lists(header_pieces | texts, max_size=6).map("".join) | st.sampled_from(
    ["Bearer TOKEN", "bearer  TOKEN "]
)
paths = st.lists(st.sampled_from(["/", ":", "*", "?", "%2F", "pbx", ""]) | texts, max_size=6).map("".join)


@settings(max_examples=FUZZED)
@given(header=headers, path=paths)
def test_any_header_is_a_token_that_is_valid_or_unauthorized(
    token: str, sent: Sent, header: str, path: str
) -> None:
    header = header.replace("TOKEN", token)
    event = {
        "type": "TOKEN",
        "authorizationToken": header,
        "methodArn": f"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/{path}",
    }
    sent["events for the authorizer"] += 1
    try:
        answer = app.api_token(event, {})
    except Exception as refusal:  # noqa: BLE001 - API Gateway knows it by its text
        answer, text = None, str(refusal)
        assert text == "Unauthorized"
    scheme, _, rest = header.partition(" ")
    assert (answer is not None) == (scheme.lower() == "bearer" and rest.strip() == token)


@pytest.fixture(scope="module")
def token(api: HttpApi) -> str:  # noqa: ARG001 - asks for the engine
    return admin()["Authorization"].removeprefix("Bearer ")
