"""The reset over HTTP: its answer, its headers, its idempotency key."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.aws import Wire
from tests.support.fleet import admin, imported, pair_of, reset_path, stored

Mirrored = Callable[[str], dict[str, Any]]
GENERATED = re.compile(r"[a-z0-9]{32}")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_reset_answers_with_the_pair_that_the_table_and_the_mirror_have(
    api: Api, mirrored: Mirrored, method: str
) -> None:
    phone = imported()
    answer = api.request(method, reset_path(phone.id), admin())

    assert answer.status == 200
    assert GENERATED.fullmatch(answer.json["username"])
    assert GENERATED.fullmatch(answer.json["password"])
    pair = (answer.json["username"], answer.json["password"])
    assert pair not in (pair_of(phone), pair[::-1])
    assert pair_of(stored(phone.id)) == pair
    copy = mirrored(phone.id)
    assert (copy["username"], copy["password"]) == pair
    assert copy["versionId"] == copy["credentialsId"] == answer.headers["credentials-id"]
    assert copy["sipPhoneId"] == phone.id
    assert copy["customer"] == phone.customer


def test_the_headers_say_which_pair_it_is_and_that_nobody_may_store_it(api: Api) -> None:
    phone = imported()
    answer = api.request("GET", reset_path(phone.id), admin())

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["credentials-id"] == stored(phone.id).credentials_id
    assert answer.headers["credentials-mirror"] == "current"
    assert "idempotent-replayed" not in answer.headers


def test_the_id_is_taken_in_any_case_and_answered_in_upper_case(api: Api) -> None:
    phone = imported(_id="ABCDEF" + "0123456789" + "ABCDEF01")
    answer = api.request("GET", reset_path("abCDef0123456789abcdef01"), admin())
    assert answer.status == 200
    assert answer.json["_id"] == phone.id


@pytest.mark.parametrize(
    "phone_id",
    [
        "0" * 23,
        "0" * 25,
        "G" * 24,
        "0" * 23 + "%20",
        "%30" * 24,
        "٣" * 24,
        "\uff10" * 24,
        "-" * 24,
        "..",
        "0" * 5000,
    ],
)
def test_a_malformed_id_is_a_phone_that_does_not_exist(api: Api, phone_id: str) -> None:
    answer = api.request("GET", reset_path(phone_id).encode().decode("latin-1"), admin())
    assert answer.status == 404
    assert answer.json["message"] == "not_found"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_no_other_method_resets_anything(api: Api, method: str) -> None:
    phone = imported()
    answer = api.request(method, reset_path(phone.id), admin())

    assert answer.status == (204 if method == "OPTIONS" else 405)
    assert answer.headers["allow"] == "GET, POST, OPTIONS"
    assert pair_of(stored(phone.id)) == pair_of(phone)


def test_a_request_body_of_any_type_is_accepted_and_ignored(api: Api) -> None:
    headers = {**admin(), "Content-Type": "application/x-www-form-urlencoded"}
    assert api.request("POST", reset_path(imported().id), headers).status == 200


def test_the_same_key_answers_with_the_same_pair(api: Api) -> None:
    phone = imported()
    headers = {**admin(), "Idempotency-Key": "key 1"}
    first = api.request("POST", reset_path(phone.id), headers)
    second = api.request("GET", reset_path(phone.id), headers)

    assert second.status == 200
    assert second.json == first.json
    assert second.headers["credentials-id"] == first.headers["credentials-id"]
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["credentials-mirror"] == "current"
    assert "idempotent-replayed" not in first.headers


def test_a_replay_of_a_settled_reset_writes_nothing(api: Api, wire: Wire) -> None:
    phone = imported()
    headers = {**admin(), "Idempotency-Key": "k"}
    api.request("POST", reset_path(phone.id), headers)
    before = stored(phone.id).to_simple_dict(force=True)
    with wire.recorded() as sent:
        api.request("POST", reset_path(phone.id), headers)

    assert sent == ["GetItem", "UpdateItem", "GetItem"]  # token, refused commit, what was answered
    assert stored(phone.id).to_simple_dict(force=True) == before


def test_another_key_or_none_is_another_reset(api: Api) -> None:
    phone = imported()
    keys: list[dict[str, str]] = [{"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}, {}, {}]
    answers = [api.request("POST", reset_path(phone.id), {**admin(), **key}) for key in keys]
    assert len({answer.json["password"] for answer in answers}) == 4


def test_the_same_key_on_another_phone_is_another_reset(api: Api) -> None:
    headers = {**admin(), "Idempotency-Key": "shared"}
    first = api.request("POST", reset_path(imported().id), headers)
    second = api.request("POST", reset_path(imported().id), headers)
    assert first.json["password"] != second.json["password"]
    assert "idempotent-replayed" not in second.headers


def test_a_key_whose_pair_was_replaced_answers_superseded_and_changes_nothing(api: Api) -> None:
    phone = imported()
    headers = {**admin(), "Idempotency-Key": "k"}
    api.request("POST", reset_path(phone.id), headers)
    later = api.request("POST", reset_path(phone.id), admin())
    replay = api.request("POST", reset_path(phone.id), headers)

    assert replay.status == 409
    assert replay.json["message"] == "superseded"
    assert stored(phone.id).password == later.json["password"]


def test_the_last_twenty_keys_are_remembered(api: Api) -> None:
    phone = imported()
    caller = admin()
    for number in range(30):
        api.request("POST", reset_path(phone.id), {**caller, "Idempotency-Key": f"key {number}"})
    for number in range(10, 29):
        answer = api.request("POST", reset_path(phone.id), {**caller, "Idempotency-Key": f"key {number}"})
        assert answer.status == 409
    assert api.request("POST", reset_path(phone.id), {**caller, "Idempotency-Key": "key 29"}).status == 200
    assert len(stored(phone.id).requests()) <= 25


@pytest.mark.parametrize("key", ["x", "k" * 255, "!~ #", "Authorization: Bearer"])
def test_a_key_of_printable_ascii_is_accepted(api: Api, key: str) -> None:
    headers = {**admin(), "Idempotency-Key": key}
    assert api.request("POST", reset_path(imported().id), headers).status == 200


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there", "caf\u00e9", "\x7f"])
def test_a_malformed_key_is_refused_and_changes_nothing(api: Api, key: str) -> None:
    phone = imported()
    answer = api.request("POST", reset_path(phone.id), {**admin(), "Idempotency-Key": key})

    assert answer.status == 400
    assert answer.json["description"] == "Idempotency-Key: expected 1 to 255 printable ASCII characters"
    assert pair_of(stored(phone.id)) == pair_of(phone)


def test_a_phone_that_was_not_made_by_our_import_can_be_reset_with_a_key(
    api: Api, aws_client: Callable[[str], Any], mirrored: Mirrored
) -> None:
    phone_id = "E" * 24
    aws_client("dynamodb").put_item(
        TableName="SipPhones",
        Item={"_id": {"S": phone_id}, "customer": {"S": "C"}, "notes": {"S": "by hand"}},
    )
    headers = {**admin(), "Idempotency-Key": "k"}
    first = api.request("POST", reset_path(phone_id), headers)
    second = api.request("POST", reset_path(phone_id), headers)

    assert first.status == 200
    assert second.json == first.json
    assert mirrored(phone_id)["password"] == first.json["password"]
