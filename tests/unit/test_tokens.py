"""API tokens, as the authorizer and the operator use them."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

import app
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.errors import Unauthorized, Unavailable
from chalicelib.tokens import ApiTokens
from tests.support.aws import Wire

pytestmark = pytest.mark.usefixtures("engine")
HOUR = timedelta(hours=1)


def now() -> datetime:
    return app.services().clock()


def issue(level: AccessLevel = AccessLevel.ADMIN, *, lifetime: timedelta | None = HOUR, **owner: Any) -> str:
    return tokens.issue(level, description="test", lifetime=lifetime, now=now(), **owner)


def test_a_token_speaks_for_the_level_and_the_owner_it_was_issued_for() -> None:
    text = issue(AccessLevel.OWNER, customer="C")
    caller = tokens.verify(text, now=now())
    assert (caller.level, caller.customer, caller.reseller) == ("OWNER", "C", None)
    assert caller.name == text.split("_")[1]


def test_a_token_can_be_matched_by_a_secret_scanner_and_holds_256_random_bits() -> None:
    texts = {issue() for _ in range(20)}
    assert all(re.fullmatch(r"sipcred_[0-9a-f]{16}_[0-9a-f]{64}", text) for text in texts)
    assert len({text.split("_")[2] for text in texts}) == 20


def test_the_table_does_not_have_the_secret_part() -> None:
    _, token_id, secret = issue().split("_")
    token = ApiTokens.find(token_id)
    assert token is not None
    assert secret not in str(token.to_simple_dict())
    assert secret not in repr(token)


def test_a_wrong_secret_is_unauthorized() -> None:
    text = issue()
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    with pytest.raises(Unauthorized):
        tokens.verify(wrong, now=now())


def test_a_token_whose_record_arrives_cut_short_is_not_called_unknown(wire: Wire) -> None:
    text = issue()
    wire.cut_short("GetItem")
    with pytest.raises(Unavailable):
        tokens.verify(text, now=now())


@pytest.mark.parametrize("text", ["", "x", "sipcred_", "SIPCRED_" + "0" * 16 + "_" + "0" * 64, "\x00" * 90])
def test_a_malformed_token_is_unauthorized(text: str) -> None:
    with pytest.raises(Unauthorized):
        tokens.verify(text, now=now())


def test_a_token_ends_at_its_expiry_to_the_second() -> None:
    text = issue(lifetime=HOUR)
    expiry = ApiTokens.get(text.split("_")[1]).expires_at
    tokens.verify(text, now=expiry - timedelta(seconds=1))
    with pytest.raises(Unauthorized):
        tokens.verify(text, now=expiry)


def test_a_token_without_lifetime_does_not_expire() -> None:
    text = issue(lifetime=None)
    assert tokens.verify(text, now=now() + timedelta(days=36_500))


def test_a_token_is_issued_though_the_answer_of_the_table_was_lost(wire: Wire) -> None:
    wire.lose_answer("PutItem")
    text = issue()
    assert tokens.verify(text, now=now()).name == text.split("_")[1]


def test_a_revoked_token_is_unauthorized_and_stays_so() -> None:
    text = issue()
    token_id = text.split("_")[1]
    tokens.revoke(token_id, now=now())
    first = ApiTokens.get(token_id).revoked_at
    tokens.revoke(token_id, now=now() + HOUR)
    with pytest.raises(Unauthorized):
        tokens.verify(text, now=now())
    assert ApiTokens.get(token_id).revoked_at == first


def test_revoking_an_unknown_token_says_so_and_makes_none() -> None:
    with pytest.raises(tokens.UnknownToken):
        tokens.revoke("0" * 16, now=now())
    assert ApiTokens.find("0" * 16) is None


@pytest.mark.parametrize(
    "level", [AccessLevel.VIEWER, AccessLevel.MANAGER, AccessLevel.OWNER, AccessLevel.RESELLER]
)
def test_a_level_with_an_owner_needs_one(level: AccessLevel) -> None:
    with pytest.raises(ValueError, match="say which"):
        issue(level)
