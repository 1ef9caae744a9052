"""The Lambda functions, called with the events that AWS sends."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import chalice.test
import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib.access import AccessLevel
from chalicelib.errors import InternalError, ServiceError
from ops.gateway import PROJECT
from tests.support.aws import Wire
from tests.support.fleet import bearer, import_lines, imported, new_owner, new_phone_id, pair_of, stored

Client = Callable[[str], Any]
pytestmark = pytest.mark.usefixtures("engine")

EVENTS = PROJECT / "tests" / "events"
PHONE = "5F0000000000000000000001"
OUTPUT = {
    "sipPhoneId",
    "credentialsId",
    "changedAt",
    "graceUntil",
    "mirror",
    "secretArn",
    "secretVersionId",
    "replayed",
}
CONFIGURED = {"configLoaded": "2026-01-05T08:00:00Z"}


def event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def context(request_id: str | None = None) -> Any:
    """A Lambda context with five minutes left."""
    attributes = {**event("lambda_context"), "aws_request_id": request_id or new_phone_id()}
    return SimpleNamespace(**attributes, get_remaining_time_in_millis=lambda: 300_000)


@pytest.fixture
def phone() -> str:
    """The phone that the events are about, freshly reset, so that none of their keys has been used for it."""
    import_lines(json.dumps({"_id": PHONE, "customer": "5F00000000000000000000C1", "status": CONFIGURED}))
    known = stored(PHONE)
    for digest in known.requests():
        known.update(actions=[type(known).recent_requests[digest].remove()])
    return PHONE


def read_secret(aws_client: Client, output: dict[str, Any]) -> dict[str, Any]:
    value = aws_client("secretsmanager").get_secret_value(
        SecretId=output["secretArn"], VersionId=output["secretVersionId"]
    )
    secret: dict[str, Any] = json.loads(value["SecretString"])
    return secret


@pytest.mark.parametrize("name", ["lambda_async_reset", "step_functions_reset", "eventbridge_fraud_alarm"])
def test_a_workflow_resets_a_phone_and_finds_the_pair_by_arn_and_version(
    phone: str, aws_client: Client, name: str
) -> None:
    before = stored(phone)
    output = app.reset_credentials(event(name), context())

    assert {*output} == OUTPUT
    assert (output["sipPhoneId"], output["mirror"], output["replayed"]) == (phone, "current", False)
    now = stored(phone)
    assert pair_of(now) != pair_of(before)
    assert now.changed_via == "lambda"
    assert read_secret(aws_client, output)["password"] == now.password
    assert now.username not in json.dumps(output)
    assert now.password not in json.dumps(output)


@pytest.mark.parametrize("name", ["step_functions_reset", "eventbridge_fraud_alarm"])
def test_an_event_that_is_delivered_twice_rotates_once(phone: str, name: str) -> None:
    first = app.reset_credentials(event(name), context())
    second = app.reset_credentials(event(name), context())
    assert second == {**first, "replayed": True}
    assert stored(phone).credentials_id == first["credentialsId"]


def test_lambdas_own_retry_of_an_asynchronous_invocation_rotates_once() -> None:
    asked = {"sipPhoneId": imported().id}
    first = app.reset_credentials(asked, context("one request"))
    again = app.reset_credentials(asked, context("one request"))
    another = app.reset_credentials(asked, context("another request"))
    assert again == {**first, "replayed": True}
    assert another["credentialsId"] != first["credentialsId"]


def test_the_credentials_are_in_the_answer_only_when_asked_for() -> None:
    made = imported(notes="reception")
    output = app.reset_credentials({"sipPhoneId": made.id, "includeCredentials": True}, context())
    assert {*output} == OUTPUT | {"phone"}
    assert output["phone"] == stored(made.id).document()


def test_a_reset_whose_copy_follows_says_so(wire: Wire) -> None:
    made = imported()
    wire.refuse("PutSecretValue", "AccessDeniedException")
    output = app.reset_credentials({"sipPhoneId": made.id}, context())
    assert {*output} == OUTPUT
    assert (output["mirror"], output["secretArn"], output["secretVersionId"]) == ("pending", None, None)


def test_the_reason_is_recorded_with_the_change() -> None:
    made = imported()
    app.reset_credentials({"sipPhoneId": made.id, "reason": "ticket 4711"}, context())
    assert stored(made.id).change_reason == "ticket 4711"
    app.reset_credentials({"sipPhoneId": made.id}, context())
    assert stored(made.id).change_reason is None


def test_the_reason_is_announced_with_who_asked(phone: str, wire: Wire) -> None:
    details: list[dict[str, Any]] = []

    def look(request: AWSPreparedRequest) -> None:
        entries = json.loads(cast(bytes, request.body))["Entries"]
        details.extend(json.loads(entry["Detail"]) for entry in entries)

    with wire.watched("PutEvents", look):
        app.reset_credentials(event("eventbridge_fraud_alarm"), context())
    (detail,) = details
    assert detail["reason"] == "calls to premium-rate numbers"
    assert (detail["changedVia"], detail["changedBy"]) == ("lambda", "event fraud.detection")
    assert stored(phone).password not in json.dumps(detail)


def test_the_function_is_known_to_chalice_by_its_name() -> None:
    made = imported()
    output = chalice.test.Client(app.app).lambda_.invoke("reset_credentials", {"sipPhoneId": made.id}).payload
    assert output["credentialsId"] == stored(made.id).credentials_id != made.credentials_id


OWNER = {"accessLevel": "OWNER", "customer": "somebody else"}
PERSONAL = {"accessLevel": "PERSONAL", "customer": "C"}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"sipPhoneId": "F" * 24}, "NotFound"),
        ({"onBehalfOf": OWNER}, "NotFound"),
        ({"onBehalfOf": PERSONAL}, "AccessDenied"),
        ({"colour": "red"}, "BadRequest"),
        ({"idempotencyKey": "replaced"}, "Superseded"),
    ],
)
def test_a_failure_has_the_name_that_step_functions_matches(asked: dict[str, Any], error: str) -> None:
    made = imported()
    for key in ("replaced", "later"):
        app.reset_credentials({"sipPhoneId": made.id, "idempotencyKey": key}, context())
    before = pair_of(stored(made.id))
    with pytest.raises(Exception) as failure:  # noqa: PT011 - the class is what is looked at
        app.reset_credentials({"sipPhoneId": made.id, **asked}, context())
    assert type(failure.value).__name__ == error
    assert pair_of(stored(made.id)) == before
    assert before[1] not in str(failure.value)


@pytest.mark.parametrize(
    ("code", "error"), [("ThrottlingException", "Unavailable"), ("AccessDeniedException", "InternalError")]
)
@pytest.mark.parametrize("function", [app.reset_credentials, app.schedule_rotation])
def test_what_aws_refuses_has_a_name_too(
    wire: Wire, function: Callable[[Any, Any], Any], code: str, error: str
) -> None:
    made = imported(status=CONFIGURED)
    asked = {"sipPhoneId": made.id} if function is app.reset_credentials else {"sipPhoneIds": [made.id]}
    wire.refuse("UpdateItem", code, times=3)
    with pytest.raises(Exception) as failure:  # noqa: PT011 - the class is what is looked at
        function(asked, context())
    assert type(failure.value).__name__ == error
    assert pair_of(stored(made.id)) == pair_of(made)
    assert "refused by the test" not in str(failure.value)


def test_the_api_handler_takes_the_event_of_api_gateway(phone: str) -> None:
    answer = app.app(event("api_gateway_reset"), context())
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["password"] == stored(phone).password
    again = app.app(event("api_gateway_reset"), context())
    assert again["headers"]["Idempotent-Replayed"] == "true"


def test_the_authorizer_takes_the_event_of_api_gateway_and_describes_the_caller() -> None:
    customer = new_owner()
    token = bearer(AccessLevel.OWNER, customer=customer)["Authorization"].removeprefix("Bearer ")
    answer = app.api_token({**event("authorizer_token"), "authorizationToken": f"Bearer {token}"}, context())
    assert answer["context"] == {"accessLevel": "OWNER", "customer": customer, "tokenId": token.split("_")[1]}
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        app.api_token(event("authorizer_token"), context())


def test_a_rotation_is_planned_by_the_event_of_the_scheduler(phone: str) -> None:
    output = app.schedule_rotation(event("scheduler_rotation"), context())
    assert {*output} == {"phones", "firstDue", "lastDue", "leftOut", "dryRun", "complete"}
    assert output["phones"] >= 1
    assert output["complete"] is True
    assert stored(phone).planned_rotation is not None
    again = app.schedule_rotation(event("scheduler_rotation"), context())
    assert again == output


def test_tend_takes_the_event_of_its_schedule() -> None:
    made = imported(rotationDays=30)
    made.update(actions=[type(made).tend_at.set(app.services().clock() - timedelta(minutes=1))])
    output = app.tend(event("eventbridge_schedule"), context())
    assert {*output} == {
        "due", "rotated", "completed", "graceEnded", "failed", "left", "oldestLatenessSeconds",
            "oldestUnsettledSeconds",
    }  # fmt: skip
    assert output["rotated"] >= 1
    assert pair_of(stored(made.id)) != pair_of(made)


def test_a_reset_emits_metrics_with_few_dimensions_and_no_phone(capsys: pytest.CaptureFixture[str]) -> None:
    made = imported()
    capsys.readouterr()
    app.reset_credentials({"sipPhoneId": made.id}, context())
    (metrics,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "SipCredentials"
    assert [sorted(dimensions) for dimensions in directive["Dimensions"]] == [["outcome", "service", "via"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == {"Resets", "MirrorPending"}
    assert (metrics["via"], metrics["outcome"]) == ("lambda", "reset")
    assert made.id not in json.dumps(metrics)


@pytest.mark.parametrize(("asked", "outcome"), [({"colour": 1}, "bad_request"), ({}, "not_found")])
def test_a_refusal_is_counted_by_its_name(
    capsys: pytest.CaptureFixture[str], asked: dict[str, Any], outcome: str
) -> None:
    with pytest.raises(ServiceError):
        app.reset_credentials({"sipPhoneId": "F" * 24, **asked}, context())
    (metrics,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    assert (metrics["via"], metrics["outcome"]) == ("lambda", outcome)


def test_a_fault_of_ours_is_counted_by_its_name(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    made = imported()
    wire.refuse("UpdateItem", "AccessDeniedException")
    with pytest.raises(InternalError):
        app.reset_credentials({"sipPhoneId": made.id}, context())
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(metrics["via"], metrics["outcome"]) for metrics in counted] == [("lambda", "internal_error")]


def test_a_copy_that_follows_is_counted(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    made = imported()
    wire.refuse("PutSecretValue", "AccessDeniedException")
    app.reset_credentials({"sipPhoneId": made.id}, context())
    (metrics,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    assert (metrics["Resets"], metrics["MirrorPending"]) == ([1.0], [1.0])
