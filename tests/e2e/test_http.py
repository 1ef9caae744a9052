"""The contract of the reset through API Gateway, the Lambda authorizer and the packaged function."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest

from chalicelib.access import AccessLevel
from ops.openapi import openapi
from tests.e2e.conftest import CUSTOMER, RESELLER, Deployed
from tests.support.api import Answer
from tests.support.fleet import new_owner, new_phone_id, reset_path

OPENAPI = openapi()
pytestmark = pytest.mark.usefixtures("_on_ministack")

NOBODY = {"Authorization": f"Bearer sipcred_0123456789abcdef_{'0' * 64}"}


def check_error(answer: Answer, status: int, message: str) -> None:
    assert (answer.status, answer.json["code"], answer.json["message"]) == (status, status, message)
    assert {*answer.json} == {"code", "message", "description", "requestId"}
    assert answer.json["requestId"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_reset_is_answered_with_the_whole_phone_and_reaches_table_and_mirror(
    deployed: Deployed, owner: dict[str, str], phone_id: str, method: str
) -> None:
    before = deployed.mirrored(phone_id)
    answer = deployed.api.request(method, reset_path(phone_id.lower()), owner)
    assert answer.status == 200, answer.body
    assert (answer.json["_id"], answer.json["notes"]) == (phone_id, "e2e")
    assert (answer.headers["cache-control"], answer.headers["credentials-mirror"]) == ("no-store", "current")
    schema: dict[str, Any] = {"$ref": "#/components/schemas/SipPhone", **OPENAPI}
    jsonschema.Draft202012Validator(schema).validate(answer.json)
    pair = {name: answer.json[name] for name in ("username", "password")}
    mirrored, stored = deployed.mirrored(phone_id), deployed.stored(phone_id)
    assert {name: mirrored[name] for name in pair} == pair
    assert mirrored["versionId"] == stored["credentialsId"]["S"] == answer.headers["credentials-id"]
    assert mirrored["password"] != before["password"]
    assert "unsettled" not in stored
    # The log of ministack has everything that functions write.
    assert pair["password"] not in deployed.log.read_text()


def test_a_key_that_comes_again_gets_the_same_pair(
    deployed: Deployed, owner: dict[str, str], phone_id: str
) -> None:
    headers = {**owner, "Idempotency-Key": "again"}
    first, again = (deployed.api.request("POST", reset_path(phone_id), headers) for _ in range(2))
    assert again.status == 200
    assert again.json == first.json
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    deployed.api.request("POST", reset_path(phone_id), owner)
    check_error(deployed.api.request("POST", reset_path(phone_id), headers), 409, "superseded")


def test_a_malformed_key_is_refused(deployed: Deployed, owner: dict[str, str], phone_id: str) -> None:
    headers = {**owner, "Idempotency-Key": "x" * 256}
    check_error(deployed.api.request("POST", reset_path(phone_id), headers), 400, "bad_request")


@pytest.mark.parametrize(
    "headers", [{}, NOBODY, {"Authorization": "Basic eDp5"}], ids=["none", "unknown", "basic"]
)
def test_without_a_valid_token_the_gateway_refuses(
    deployed: Deployed, phone_id: str, headers: dict[str, str]
) -> None:
    answer = deployed.api.request("POST", reset_path(phone_id), headers)
    check_error(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_was_revoked_is_refused(deployed: Deployed, phone_id: str) -> None:
    token = deployed.token(AccessLevel.ADMIN)  # not used before: API Gateway caches what an authorizer said
    deployed.operate("tokens", "revoke", token["Authorization"].split("_")[1])
    check_error(deployed.api.request("POST", reset_path(phone_id), token), 401, "unauthorized")


def test_the_level_personal_is_not_enough(deployed: Deployed, phone_id: str) -> None:
    token = deployed.token(AccessLevel.PERSONAL, customer=CUSTOMER)
    check_error(deployed.api.request("POST", reset_path(phone_id), token), 403, "access_denied")


def test_a_reseller_and_an_admin_reach_the_phone_and_a_stranger_does_not(
    deployed: Deployed, phone_id: str
) -> None:
    for token in (deployed.token(AccessLevel.RESELLER, reseller=RESELLER), deployed.token(AccessLevel.ADMIN)):
        assert deployed.api.request("POST", reset_path(phone_id), token).status == 200
    before = deployed.stored(phone_id)
    stranger = deployed.token(AccessLevel.OWNER, customer=new_owner())
    check_error(deployed.api.request("POST", reset_path(phone_id), stranger), 404, "not_found")
    assert deployed.stored(phone_id) == before


@pytest.mark.parametrize("path", [reset_path(new_phone_id()), reset_path("nonsense"), "/no/such/path", "/"])
def test_what_does_not_exist_is_not_found(deployed: Deployed, owner: dict[str, str], path: str) -> None:
    """Two of these never reach the service: API Gateway answers them, with its gateway responses."""
    check_error(deployed.api.request("POST", path, owner), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused_and_change_nothing(
    deployed: Deployed, owner: dict[str, str], phone_id: str, method: str
) -> None:
    before = deployed.stored(phone_id)
    answer = deployed.api.request(method, reset_path(phone_id), owner)
    check_error(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST, OPTIONS"
    assert deployed.api.request("HEAD", reset_path(phone_id), owner).status == 405
    assert deployed.api.request("OPTIONS", reset_path(phone_id), {}).status == 204
    assert deployed.stored(phone_id) == before


def test_the_functions_have_no_permission_but_those_of_their_roles(
    deployed: Deployed, owner: dict[str, str], phone_id: str
) -> None:
    """Shows that all the other tests here prove the roles sufficient: what is not granted is refused."""
    iam = deployed.client("iam")
    function = deployed.client("lambda").get_function(FunctionName=deployed.outputs["APIHandlerName"])
    role = function["Configuration"]["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    granted = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    less = [statement for statement in granted["Statement"] if "events:PutEvents" not in statement["Action"]]
    assert len(less) < len(granted["Statement"])
    try:
        iam.put_role_policy(
            RoleName=role, PolicyName=name, PolicyDocument=json.dumps({**granted, "Statement": less})
        )
        answer = deployed.api.request("POST", reset_path(phone_id), owner)
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(granted))
    assert (answer.status, answer.headers["credentials-mirror"]) == (200, "pending")


def test_the_api_reference_is_served_under_the_stages_path_to_everybody(deployed: Deployed) -> None:
    """Each address as a browser resolves it from where the page is."""
    page = deployed.api.request("GET", "/docs", {})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    links = re.findall(r'(?:src|href)="([^":]+)"', page.body.decode())
    for link in links:
        answer = deployed.api.request("GET", urljoin("/docs", link), {})
        assert answer.status == 200, link
        again = deployed.api.request("GET", urljoin("/docs", link), {"If-None-Match": answer.headers["etag"]})
        assert again.status == 304
    assert "openapi.json" in links
    assert deployed.api.request("GET", "/openapi.json", {}).json == json.loads(json.dumps(OPENAPI))
    check_error(deployed.api.request("POST", "/docs", {}), 405, "method_not_allowed")
