"""Every refusal has the status, the headers and the body of the contract."""

import json
from typing import Any

import pytest

import app
from chalicelib import errors
from chalicelib.access import AccessLevel
from ops.gateway import gateway_responses
from tests.support.api import Answer, Api
from tests.support.aws import Wire
from tests.support.fleet import admin, bearer, imported, new_owner, pair_of, reset_path, stored


def assert_is(answer: Answer, error: type[errors.ServiceError]) -> None:
    assert answer.status == error.code
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json
    assert {*body} == {"code", "message", "description", "requestId"}
    assert body["code"] == error.code
    assert body["message"] == error.message
    assert body["description"]
    assert len(body["requestId"]) == 36


TOKEN = "sipcred_" + "0" * 16 + "_" + "0" * 64


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic dXNlcjpwYXNz",
        TOKEN,
        f"Bearer {TOKEN}",
        "Bearer \x01",
    ],
)
def test_without_a_valid_token_the_answer_is_401(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = api.request("GET", reset_path(imported().id), headers)
    assert_is(answer, errors.Unauthorized)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("level", [AccessLevel.PERSONAL, AccessLevel.NO_LOGIN])
def test_a_level_that_may_not_reset_is_403_whatever_it_asks_for(api: Api, level: AccessLevel) -> None:
    headers = bearer(level, customer=new_owner())
    for phone_id in (imported().id, "F" * 24, "malformed"):
        assert_is(api.request("GET", reset_path(phone_id), headers), errors.AccessDenied)


def test_a_missing_phone_is_404(api: Api) -> None:
    assert_is(api.request("GET", reset_path("F" * 24), admin()), errors.NotFound)


@pytest.mark.parametrize("path", ["/", "/pbx", "/pbx/sipphone/resetcredentials", reset_path("0" * 24) + "/x"])
@pytest.mark.parametrize("authorized", [True, False])
def test_an_unknown_path_is_404(api: Api, path: str, authorized: bool) -> None:
    assert_is(api.request("GET", path, admin() if authorized else {}), errors.NotFound)


def test_another_method_is_405(api: Api) -> None:
    assert_is(api.request("PUT", reset_path(imported().id), admin()), errors.MethodNotAllowed)


def test_a_malformed_key_is_400(api: Api) -> None:
    headers = {**admin(), "Idempotency-Key": "k" * 256}
    assert_is(api.request("GET", reset_path(imported().id), headers), errors.BadRequest)


def test_a_replaced_pair_is_409(api: Api) -> None:
    phone = imported()
    headers = {**admin(), "Idempotency-Key": "k"}
    for caller in (headers, admin()):
        assert api.request("GET", reset_path(phone.id), caller).status == 200
    assert_is(api.request("GET", reset_path(phone.id), headers), errors.Superseded)


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
)
def test_a_throttled_table_is_503_and_nothing_changes(api: Api, wire: Wire, code: str) -> None:
    phone, caller = imported(), admin()
    wire.refuse("UpdateItem", code, times=3)
    assert_is(api.request("GET", reset_path(phone.id), caller), errors.Unavailable)
    assert pair_of(stored(phone.id)) == pair_of(phone)


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_table_is_503(api: Api, wire: Wire, status: int) -> None:
    phone, caller = imported(), admin()
    wire.refuse("UpdateItem", "InternalServerError", status=status, times=3)
    assert_is(api.request("GET", reset_path(phone.id), caller), errors.Unavailable)


def test_a_table_out_of_reach_is_503(api: Api, wire: Wire) -> None:
    phone, caller = imported(), admin()
    wire.drop("UpdateItem", times=3)
    assert_is(api.request("GET", reset_path(phone.id), caller), errors.Unavailable)


def test_an_authorizer_that_cannot_read_its_table_is_503(api: Api, wire: Wire) -> None:
    phone, caller = imported(), admin()
    wire.refuse("GetItem", "ThrottlingException", times=3)
    assert_is(api.request("GET", reset_path(phone.id), caller), errors.Unavailable)


def test_a_fault_of_ours_is_500_and_says_nothing_of_its_cause(
    api: Api, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    phone, caller = imported(), admin()
    wire.refuse("UpdateItem", "AccessDeniedException")
    answer = api.request("GET", reset_path(phone.id), caller)

    assert_is(answer, errors.InternalError)
    assert answer.json["description"] == "Internal error"
    assert b"AccessDenied" not in answer.body
    assert pair_of(stored(phone.id)) == pair_of(phone)
    capsys.readouterr()


def test_the_cause_of_a_500_is_in_the_log_under_its_request_id(
    api: Api, wire: Wire, service_log: list[dict[str, Any]]
) -> None:
    phone, caller = imported(), admin()
    wire.refuse("UpdateItem", "AccessDeniedException")
    answer = api.request("GET", reset_path(phone.id), caller)

    (entry,) = (entry for entry in service_log if entry["level"] == "ERROR")
    assert entry["requestId"] == answer.json["requestId"]
    assert "AccessDeniedException" in entry["exception"]


def test_what_api_gateway_says_by_itself_is_in_the_words_of_the_contract() -> None:
    by_code = {error.code: error for error in errors.ServiceError.__subclasses__()}
    responses = gateway_responses()
    for kind, response in responses.items():
        body = json.loads(response.template)
        assert body["code"] == response.status
        assert body["message"] == by_code[response.status].message
        assert body["requestId"] == "$context.requestId"
        assert response.headers["Cache-Control"] == "no-store"
        assert ("WWW-Authenticate" in response.headers) == (response.status == 401), kind
    expected = {
        "UNAUTHORIZED": 401, "ACCESS_DENIED": 403, "MISSING_AUTHENTICATION_TOKEN": 404, "THROTTLED": 429,
        "QUOTA_EXCEEDED": 429, "AUTHORIZER_FAILURE": 503, "INTEGRATION_TIMEOUT": 503, "DEFAULT_5XX": 500,
    }  # fmt: skip
    assert expected.items() <= {kind: response.status for kind, response in responses.items()}.items()


def test_the_authorizer_is_cached_for_a_minute_at_most_and_allows_the_whole_api() -> None:
    assert app.api_token.config.ttl_seconds <= 60
    caller = admin()
    event = {
        "type": "TOKEN",
        "authorizationToken": caller["Authorization"],
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/pbx",
    }
    answer = app.api_token(event, {})
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == ["arn:aws:execute-api:eu-west-1:123456789012:abc/v1/*/*"]
