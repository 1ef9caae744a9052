"""Who may reset which phone: every entry point, every level, every owner of caller and phone, told by one small rule."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

import app
from chalicelib.access import AccessLevel
from chalicelib.credentials import new_id
from chalicelib.errors import ServiceError
from chalicelib.phones import SipPhones
from tests.support.api import Api
from tests.support.aws import Wire
from tests.support.callers import ask_by_invocation, ask_over_http, lambda_context
from tests.support.fleet import bearer_of, new_owner, new_phone_id, pair_of, reset_path, stored

REACHES = {
    "NO_LOGIN": "nothing",
    "PERSONAL": "nothing",
    "VIEWER": "customer",
    "MANAGER": "customer",
    "OWNER": "customer",
    "RESELLER": "reseller",
    "ADMIN": "everything",
    "REGISTRAR": "nothing",
}
UNKNOWN = "SUPERVISOR"
MINE = {"customer": new_owner(), "reseller": new_owner()}
CALLERS = {
    "of a customer and a reseller": MINE,
    "of a customer": {"customer": MINE["customer"]},
    "of a reseller": {"reseller": MINE["reseller"]},
    "of nobody": {},
}
ENTRIES = ("GET", "POST", "Lambda")

Owner = dict[str, str]


def expected(level: str, caller: Owner, phone: Owner | None) -> str:
    """The rule. ``phone`` is None where there is none."""
    reaches = REACHES.get(level, "nothing")
    if reaches == "nothing" or (reaches in MINE and reaches not in caller):
        return "access_denied"
    reached = phone is not None and (reaches == "everything" or phone.get(reaches) == caller[reaches])
    return "ok" if reached else "not_found"


@pytest.fixture(scope="module")
def phones(engine: str) -> dict[str, Owner | None]:
    """A phone for each relation to the callers, with its owner, and ids without a phone."""
    assert engine
    owners = product(*(({name: mine}, {name: new_owner()}, {}) for name, mine in MINE.items()))
    made: dict[str, Owner | None] = {new_phone_id(): {**one, **other} for one, other in owners}
    for phone_id, owner in made.items():
        by_hand(phone_id, **owner or {})
        assert ask_by_invocation(phone_id).name == "ok"
    return {**made, new_phone_id(): None, "malformed": None}


def by_hand(phone_id: str, **owner: str) -> None:
    """Puts a phone into the table that no import would: without an owner, or a pair."""
    phone = SipPhones(phone_id)
    phone.customer, phone.reseller = owner.get("customer"), owner.get("reseller")
    phone.save()


def pairs(phones: dict[str, Owner | None]) -> dict[str, tuple[str, str]]:
    return {phone.id: pair_of(phone) for phone in SipPhones.batch_get(phones, consistent_read=True)}


def asking(api: Api, entry: str, level: str, caller: Owner) -> Callable[[str], str]:
    """Asks for a reset of a phone, and answers with what was heard."""
    if entry == "Lambda":
        return lambda phone_id: ask_by_invocation(phone_id, onBehalfOf={"accessLevel": level, **caller}).name
    headers = bearer_of(level, **caller)
    return lambda phone_id: ask_over_http(api, entry, phone_id, headers).name


def test_every_level_has_its_line_in_the_rule() -> None:
    assert {*REACHES} == {*AccessLevel}


@pytest.mark.engine("roto")  # over HTTP; a thousand requests are slower on moto, and the rule is the service's own
@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("level", [*REACHES, UNKNOWN])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_caller_resets_the_phones_it_reaches_and_no_other(
    api: Api, phones: dict[str, Owner | None], entry: str, level: str, caller: Owner
) -> None:
    ask = asking(api, entry, level, caller)
    before = pairs(phones)
    heard = {phone_id: ask(phone_id) for phone_id in phones}
    assert heard == {phone_id: expected(level, caller, owner) for phone_id, owner in phones.items()}
    changed = {phone_id for phone_id, pair in pairs(phones).items() if pair != before[phone_id]}
    assert changed == {phone_id for phone_id, name in heard.items() if name == "ok"}


def test_an_invocation_on_nobodys_behalf_resets_every_phone(phones: dict[str, Owner | None]) -> None:
    for phone_id, owner in phones.items():
        assert ask_by_invocation(phone_id).name == expected("ADMIN", {}, owner)


@pytest.fixture(scope="module")
def foreign(engine: str) -> list[str]:
    """Phones of others, in every state that a reset could take for something else than a missing phone."""
    assert engine
    settled, under_way, remembering, without_pair, without_owner = (new_phone_id() for _ in range(5))
    for phone_id in (settled, under_way, remembering):
        by_hand(phone_id, customer=new_owner(), reseller=new_owner())
        for key in ("replaced", "in force"):
            assert ask_by_invocation(phone_id, idempotencyKey=key).name == "ok"
    assert ask_by_invocation(settled).name == "ok"
    SipPhones(under_way).update(actions=[SipPhones.unsettled.set({new_id()})])
    by_hand(without_pair, customer=new_owner())
    by_hand(without_owner)
    return [settled, under_way, remembering, without_pair, without_owner]


def telling(api: Api, entry: str, level: str, key: str | None) -> Callable[[str], Any]:
    """Asks for a reset of a phone, and answers with all that was told, but for the request's id and the time of day."""
    if entry == "Lambda":
        asked = {"onBehalfOf": {"accessLevel": level, **MINE}} | ({"idempotencyKey": key} if key else {})

        def invoke(phone_id: str) -> Any:
            with pytest.raises(ServiceError) as refusal:
                app.reset_credentials({"sipPhoneId": phone_id, **asked}, lambda_context())
            return type(refusal.value), str(refusal.value)

        return invoke
    headers = bearer_of(level, **MINE) | ({"Idempotency-Key": key} if key else {})

    def request(phone_id: str) -> Any:
        answer = api.request(entry, reset_path(phone_id), headers)
        body = {**answer.json, "requestId": len(answer.json["requestId"])}
        return answer.status, {**answer.headers, "date": ""}, body

    return request


@pytest.mark.parametrize("key", [None, "new", "replaced", "in force"])
@pytest.mark.parametrize("level", [level for level, reaches in REACHES.items() if reaches != "everything"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_foreign_phone_is_told_from_a_missing_one_by_nothing_and_costs_the_same_calls(
    api: Api, wire: Wire, foreign: list[str], entry: str, level: str, key: str | None
) -> None:
    tell = telling(api, entry, level, key)
    before = [stored(phone_id).to_simple_dict(force=True) for phone_id in foreign]
    told = []
    for phone_id in [new_phone_id(), *foreign]:
        with wire.recorded() as sent:
            told.append((tell(phone_id), [*sent]))
    assert told == [told[0]] * len(told)
    assert [stored(phone_id).to_simple_dict(force=True) for phone_id in foreign] == before
