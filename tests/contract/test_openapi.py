"""The API's description and the API: the same resources, methods, errors, headers and answers."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import app
from chalicelib import errors
from chalicelib.access import AccessLevel
from chalicelib.credentials import Algorithm, Credentials
from ops.openapi import openapi
from tests.support.api import Answer, Api
from tests.support.aws import Wire
from tests.support.fleet import admin, bearer, import_lines, imported, reset_path, stored

METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
OF_HTTP = {"connection", "content-length", "content-type", "date", "server"}
Json = dict[str, Any]
Operation = tuple[str, str]
"""Path and method, as the description writes them."""

RESET = ("/pbx/sipphone/{sipPhoneId}/resetcredentials", "post")
OPERATIONS = [(path, method) for path, methods in openapi()["paths"].items() for method in methods]
PUBLIC = [
    operation for operation in OPERATIONS if openapi()["paths"][operation[0]][operation[1]].get("security") == []
]
ERRORS = {error.__name__: error for error in errors.ServiceError.__subclasses__()}


def resolved(part: Json) -> Json:
    """A part of the description, or the one that it refers to."""
    while "$ref" in part:
        target: Any = openapi()
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def described(operation: Operation) -> Json:
    path, method = operation
    return cast(Json, openapi()["paths"][path][method])


def check(value: Any, schema: Json) -> None:
    Draft202012Validator({**schema, "components": openapi()["components"]}).validate(value)


def check_headers(answer: Answer, response: Json) -> None:
    """The answer's headers are those of the description, all that are required and no other."""
    headers = {name.lower(): resolved(header) for name, header in response.get("headers", {}).items()}
    sent = answer.headers.keys() - OF_HTTP
    assert sent <= headers.keys()
    assert {name for name, header in headers.items() if header.get("required")} <= sent
    for name in sent:
        check(answer.headers[name], headers[name]["schema"])


def check_answer(answer: Answer, operation: Operation) -> None:
    response = resolved(described(operation)["responses"][str(answer.status)])
    check_headers(answer, response)
    if content := response.get("content"):
        kind = answer.headers["content-type"].split(";")[0]
        check(answer.json if kind == "application/json" else answer.body.decode(), content[kind]["schema"])


def test_the_description_is_openapi() -> None:
    validate(openapi())


def test_every_route_is_described_and_every_description_has_a_route() -> None:
    assert app.app.routes.keys() == openapi()["paths"].keys()


def example_path(operation: Operation) -> str:
    path, _ = operation
    parameters = [resolved(parameter) for parameter in described(operation).get("parameters", [])]
    values = {parameter["name"]: parameter["example"] for parameter in parameters if parameter["in"] == "path"}
    return path.format_map({name: quote(value, safe="") for name, value in values.items()})


def ask(api: Api, operation: Operation, headers: Mapping[str, str] | None = None, **values: str) -> Answer:
    """Sends the description's example of a request."""
    _, method = operation
    content = {}
    body = b""
    for kind, media in described(operation).get("requestBody", {}).get("content", {}).items():
        content = {"Content-Type": kind}
        body = urlencode({**media["example"], **values}).encode()
    return api.request(method.upper(), example_path(operation), {**(headers or {}), **content}, body)


@pytest.mark.parametrize("path", openapi()["paths"])
def test_a_method_is_refused_unless_it_is_described(api: Api, path: str) -> None:
    methods = [method for described_path, method in OPERATIONS if described_path == path]
    for method in METHODS:
        answer = api.request(method.upper(), example_path((path, methods[0])), {})
        assert (answer.status == 405) == (method not in methods), method
    allow = openapi()["paths"][path]["options"]["responses"]["204"]["headers"]["Allow"]["schema"]["const"]
    assert allow.lower().split(", ") == methods


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_token_is_required_where_the_description_says_so(api: Api, operation: Operation) -> None:
    assert (ask(api, operation).status == 401) == (operation not in PUBLIC)


def test_every_error_is_described_under_its_name_with_what_programs_and_people_read() -> None:
    responses = openapi()["components"]["responses"]
    assert responses.keys() == ERRORS.keys()
    for name, error in ERRORS.items():
        example = responses[name]["content"]["application/json"]["example"]
        assert (example["code"], example["message"]) == (error.code, error.message)
        assert responses[name]["description"].startswith(f"{error.message}. ")
        if error is not errors.BadRequest:
            assert example["description"] == error.description


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_its_errors_by_their_status(operation: Operation) -> None:
    responses = {
        status: response["$ref"]
        for status, response in described(operation)["responses"].items()
        if "$ref" in response
    }
    for status, reference in responses.items():
        assert ERRORS[reference.rpartition("/")[2]].code == int(status)
    anywhere = {"429", "500"} if operation[1] != "options" else set()
    assert responses.keys() >= anywhere | ({"401", "403", "503"} if operation not in PUBLIC else set())


def failing(api: Api, wire: Wire, code: int) -> Answer:
    """The service's answer with the status of an error, which is brought about."""
    phone, caller = imported(), admin()
    path = reset_path(phone.id)
    key = {**caller, "Idempotency-Key": "k"}
    requests: dict[int, tuple[str, str, Mapping[str, str]]] = {
        400: ("POST", f"{path}?grace=soon", caller),
        401: ("POST", path, {}),
        403: ("POST", path, bearer(AccessLevel.PERSONAL, customer="C")),
        404: ("POST", reset_path("F" * 24), caller),
        405: ("DELETE", path, caller),
        409: ("POST", path, key),
    }
    if code == 409:
        for headers in (key, caller):
            api.request("POST", path, headers)
    if code in {500, 503}:
        refusal = "AccessDeniedException" if code == 500 else "ThrottlingException"
        wire.refuse("UpdateItem", refusal, times=3)
    return api.request(*requests.get(code, ("POST", path, caller)))


@pytest.mark.parametrize("name", sorted(ERRORS.keys() - {"TooManyRequests"}))  # API Gateway's own, see test_errors
def test_an_error_is_answered_as_it_is_described(api: Api, wire: Wire, name: str) -> None:
    answer = failing(api, wire, ERRORS[name].code)
    assert (answer.status, answer.json["message"]) == (ERRORS[name].code, ERRORS[name].message)
    response = openapi()["components"]["responses"][name]
    check_headers(answer, response)
    check(answer.json, response["content"]["application/json"]["schema"])


def examples_of(place: Json) -> list[Any]:
    """The examples of a parameter, a header or a body."""
    schema = place.get("schema", {})
    own = [place["example"]] if "example" in place else []
    return [
        *own,
        *(example["value"] for example in place.get("examples", {}).values()),
        *schema.get("examples", []),
    ]


def places() -> Iterator[Json]:
    """Every parameter, header and body of the description."""
    for operation in OPERATIONS:
        yield from described(operation).get("parameters", [])
        yield from described(operation).get("requestBody", {}).get("content", {}).values()
        for response in map(resolved, described(operation)["responses"].values()):
            yield from map(resolved, response.get("headers", {}).values())
            yield from response.get("content", {}).values()


def test_everything_has_an_example_that_keeps_the_rules() -> None:
    for place in places():
        assert examples_of(place), place
        for example in examples_of(place):
            check(example, place["schema"])


@pytest.fixture
def example_phone(no_phones: None) -> Iterator[Json]:
    """The phone that the examples speak of, and no other under its id, whose pair an import would leave as it is."""
    assert no_phones is None
    document: Json = described(RESET)["responses"]["200"]["content"]["application/json"]["example"]
    (result,) = import_lines(json.dumps(document))
    assert not result.reason
    yield document
    stored(document["_id"]).delete()


def without_ids(answer: Any) -> Any:
    """An answer without what differs from pair to pair."""
    return {**answer, "credentialsId": None, "validUntil": None} if isinstance(answer, dict) else answer


@pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation not in PUBLIC and "registrar" in operation[0]]
)
def test_a_registrar_is_answered_as_in_the_examples(api: Api, example_phone: Json, operation: Operation) -> None:
    registrar = bearer(AccessLevel.REGISTRAR)
    answer = ask(api, operation, registrar)
    check_answer(answer, operation)
    (media,) = described(operation)["responses"]["200"]["content"].values()
    found, other = examples_of(media)
    is_json = answer.headers["content-type"] == "application/json"
    assert without_ids(answer.json if is_json else answer.body.decode()) == without_ids(found)
    if is_json:
        api.request("POST", f"{reset_path(example_phone['_id'])}?grace=3600", admin())
        in_grace = ask(api, operation, registrar)
        check_answer(in_grace, operation)
        assert in_grace.json.keys() == other.keys()
        assert in_grace.json.get("adopted") == other.get("adopted")
    else:
        nobody = {"user": "nobody", "id": "nobody"}
        assert ask(api, operation, registrar, **nobody).body.decode() == other


def test_the_example_of_a_digest_is_that_of_the_example_of_a_reset(example_phone: Json) -> None:
    digest = described(("/registrar/digest/{username}", "get"))["responses"]["200"]["content"]["application/json"]
    example = digest["examples"]["inForce"]["value"]
    pair = Credentials(example_phone["username"], example_phone["password"])
    assert example["ha1"] == {algorithm: pair.ha1(algorithm, realm=example["realm"]) for algorithm in Algorithm}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_reset_is_answered_as_in_the_example(api: Api, example_phone: Json, method: str) -> None:
    operation = (RESET[0], method)
    caller = {**admin(), "Idempotency-Key": method}
    first, again = (ask(api, operation, caller) for _ in range(2))
    in_grace = api.request(method.upper(), f"{example_path(operation)}?grace=3600", admin())
    for answer in (first, again, in_grace):
        check_answer(answer, operation)
        assert answer.json == {**example_phone, **{name: answer.json[name] for name in ("username", "password")}}
    headers = {name.lower() for name in described(operation)["responses"]["200"]["headers"]}
    assert {name for answer in (first, again, in_grace) for name in answer.headers} - OF_HTTP == headers


@pytest.mark.parametrize("operation", PUBLIC)
def test_what_is_public_is_answered_as_it_is_described(api: Api, operation: Operation) -> None:
    answer = ask(api, operation)
    check_answer(answer, operation)
    if operation[1] == "get":
        unchanged = api.request("GET", example_path(operation), {"If-None-Match": answer.headers["etag"]})
        assert (unchanged.status, unchanged.body) == (304, b"")
        check_answer(unchanged, operation)
