"""Who may reset which phone: every level against every relation to the phone."""

import pytest

from chalicelib.access import AccessLevel
from chalicelib.tokens import ApiTokens
from tests.support.api import Api
from tests.support.fleet import bearer, imported, new_owner, pair_of, reset_path, stored

UNKNOWN = "SUPERVISOR"
CUSTOMER_LEVELS = {"VIEWER", "MANAGER", "OWNER"}


def expected_status(level: str, relation: str) -> int:
    if level in CUSTOMER_LEVELS:
        return 200 if relation == "own" else 404
    if level == "RESELLER":
        return 200 if relation == "reseller's" else 404
    return 200 if level == "ADMIN" else 403


@pytest.mark.parametrize("relation", ["own", "foreign", "reseller's"])
@pytest.mark.parametrize("level", [*AccessLevel, UNKNOWN])
def test_a_level_resets_the_phones_in_its_scope_and_no_other(api: Api, level: str, relation: str) -> None:
    customer, reseller = new_owner(), new_owner()
    phone = imported(
        customer=customer if relation == "own" else new_owner(),
        reseller=reseller if relation == "reseller's" else new_owner(),
    )
    headers = bearer(
        AccessLevel.OWNER if level == UNKNOWN else AccessLevel(level), customer=customer, reseller=reseller
    )
    if level == UNKNOWN:
        token_id = headers["Authorization"].split("_")[1]
        ApiTokens(token_id).update(actions=[ApiTokens.access_level.set(UNKNOWN)])

    answer = api.request("POST", reset_path(phone.id), headers)

    assert answer.status == expected_status(level, relation)
    assert (pair_of(stored(phone.id)) != pair_of(phone)) == (answer.status == 200)


def test_a_reseller_does_not_reach_a_phone_without_one(api: Api) -> None:
    phone = imported()
    headers = bearer(AccessLevel.RESELLER, reseller=new_owner())
    assert api.request("POST", reset_path(phone.id), headers).status == 404


def test_a_foreign_phone_is_answered_like_a_missing_one(api: Api) -> None:
    headers = bearer(AccessLevel.OWNER, customer=new_owner())
    foreign = api.request("GET", reset_path(imported().id), headers)
    missing = api.request("GET", reset_path("F" * 24), headers)

    assert foreign.json | {"requestId": ""} == missing.json | {"requestId": ""}
    assert {*foreign.headers} == {*missing.headers}


def test_a_token_with_a_level_but_no_owner_is_denied(api: Api) -> None:
    headers = bearer(AccessLevel.OWNER, customer=new_owner())
    token_id = headers["Authorization"].split("_")[1]
    ApiTokens(token_id).update(actions=[ApiTokens.customer.remove()])
    assert api.request("GET", reset_path(imported().id), headers).status == 403
