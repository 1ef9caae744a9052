"""The deployment's template, as it is rendered: what it grants, and the parts whose loss would hurt."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import app
from chalicelib import phone_writes, telemetry
from chalicelib.access import EVERY_PHONE, AccessLevel
from chalicelib.errors import NotFound
from chalicelib.phones import SipPhones
from chalicelib.tokens import ApiTokens
from ops.gateway import PROJECT, gateway_responses
from ops.packaging import copy_sources
from tests.support.aws import Crash, Wire
from tests.support.fleet import bearer, imported, new_owner, new_phone_id, stored

CONFIGURED = {"configLoaded": "2026-01-05T08:00:00Z"}
FUNCTIONS = ("APIHandler", "ApiToken", "ResetCredentials", "ScheduleRotation", "Tend")
ROLES = {name: f"{'ApiHandler' if name == 'APIHandler' else name}Role" for name in FUNCTIONS}

# What a function's role needs beside the calls of its code: its log, its traces, its key, and for those that are
# invoked asynchronously the queue that Lambda puts a failed invocation into.
OF_THE_PLATFORM = {
    "logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    "kms:Decrypt", "kms:GenerateDataKey", "sqs:SendMessage",
}  # fmt: skip


@pytest.fixture(scope="module", params=["dev", "prod"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("template")
    copy_sources(folder)
    (folder / "requirements.txt").write_text("")  # the template does not depend on the archive's contents
    subprocess.run(
        [Path(sys.executable).parent / "chalice", "package", "--stage", request.param,
         "--merge-template", ".chalice/resources.json", "out"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    rendered: dict[str, Any] = json.loads((folder / "out" / "sam.json").read_text())
    (folder / "sam.json").write_text(json.dumps(rendered))
    rendered["path"] = str(folder / "sam.json")
    return rendered


def properties(template: dict[str, Any], name: str) -> Any:
    return template["Resources"][name]["Properties"]


def statements(template: dict[str, Any], function: str) -> list[dict[str, Any]]:
    (policy,) = properties(template, ROLES[function])["Policies"]
    return [statement.get("Fn::If", [0, statement])[1] for statement in policy["PolicyDocument"]["Statement"]]


def granted(template: dict[str, Any], function: str) -> set[str]:
    return {action for statement in statements(template, function) for action in statement["Action"]}


def test_the_template_has_no_fault_that_cfn_lint_knows(template: dict[str, Any]) -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--template", template["path"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert linted.stdout + linted.stderr == ""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_role_has_a_wildcard_where_aws_takes_a_name(template: dict[str, Any], function: str) -> None:
    for statement in statements(template, function):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in statement["Action"])
        # X-Ray's two actions know no resources.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        if statement["Resource"] == "*":
            assert {action.split(":")[0] for action in statement["Action"]} == {"xray"}
    assert properties(template, function)["Role"] == {"Fn::GetAtt": [ROLES[function], "Arn"]}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_secrets_are_limited_to_the_phones(template: dict[str, Any], function: str) -> None:
    for statement in statements(template, function):
        if any(action.startswith("secretsmanager:") for action in statement["Action"]):
            assert statement["Resource"]["Fn::Sub"].endswith(":secret:${SecretPrefix}*")


def context() -> Any:
    hour = timedelta(hours=1) / timedelta(milliseconds=1)
    return SimpleNamespace(aws_request_id=new_phone_id(), get_remaining_time_in_millis=lambda: hour)


def api_event(phone_id: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((PROJECT / "tests" / "events" / "api_gateway_reset.json").read_text())
    event["pathParameters"]["sipPhoneId"] = phone_id
    event["requestContext"]["authorizer"] = {"tokenId": "t", "accessLevel": "ADMIN"}
    return event


@pytest.fixture
def exercises(wire: Wire, aws_client: Callable[[str], Any]) -> dict[str, list[Callable[[], Any]]]:
    """Each function on every way that its code can take to AWS."""
    now = app.services().clock()
    secrets_manager = aws_client("secretsmanager")

    def phone(**deletion: Any) -> str:
        made = imported(rotationDays=30)
        secrets_manager.delete_secret(SecretId=f"sip-phones/{made.id}", **deletion)
        return str(made.id)

    def due(phone_id: str) -> None:
        phone_writes.reschedule(stored(phone_id), due=now - timedelta(minutes=1))

    def phones() -> tuple[str, str, str]:
        """One without a secret, one whose secret is marked for deletion, and one that does not exist."""
        return phone(ForceDeleteWithoutRecovery=True), phone(), new_phone_id()

    def expecting_not_found(work: Callable[[], Any]) -> None:
        with suppress(NotFound):
            work()

    by_hand = imported(status=CONFIGURED)
    by_hand.update(actions=[SipPhones.recent_requests.remove()])
    for phone_id in phones()[:2]:
        due(phone_id)
    abandoned = imported()
    wire.crash("PutSecretValue", when="before")
    with pytest.raises(Crash):
        app.services().resets.reset(abandoned.id, changed_by="t", changed_via="http")
    stored(abandoned.id).update(actions=[SipPhones.tend_at.set(now - timedelta(minutes=1))])
    token = bearer(AccessLevel.OWNER, customer=new_owner())["Authorization"]
    return {
        "APIHandler": [
            *(partial(app.app, api_event(phone_id), context()) for phone_id in phones()),
            partial(app.services().registrar.registered, stored(abandoned.id).username, scope=EVERY_PHONE),
        ],
        "ApiToken": [
            partial(
                app.api_token,
                {"type": "TOKEN", "authorizationToken": token, "methodArn": "a:b:c:d:e:f/v1/GET/x"},
                {},
            )
        ],
        "ResetCredentials": [
            partial(expecting_not_found, partial(app.reset_credentials, {"sipPhoneId": phone_id}, context()))
            for phone_id in phones()
        ],
        "ScheduleRotation": [
            partial(app.schedule_rotation, {"customer": by_hand.customer}, context()),
            partial(app.schedule_rotation, {"fleet": True, "dryRun": True}, context()),
        ],
        "Tend": [partial(app.tend, {}, context())],
    }


ACTIONS = {
    "dynamodb": {"BatchGetItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"},
    "secretsmanager": {"CreateSecret", "PutSecretValue", "RestoreSecret"},
    "events": {"PutEvents"},
}


def action(operation: str) -> str:
    (service,) = (service for service, operations in ACTIONS.items() if operation in operations)
    return f"{service}:{operation}"


@pytest.mark.engine("roto")  # answers about deleted secrets as AWS does
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_grants_what_the_code_calls_and_nothing_else(
    template: dict[str, Any], wire: Wire, exercises: dict[str, list[Callable[[], Any]]], function: str
) -> None:
    with wire.recorded() as sent:
        for work in exercises[function]:
            work()
    called = {action(operation) for operation in sent}
    if "secretsmanager:CreateSecret" in called:
        called.add("secretsmanager:TagResource")  # asked for when a secret is created with tags
    assert granted(template, function) - OF_THE_PLATFORM == called


def test_the_tables_survive_the_stack_and_the_fleet_survives_a_mistake(template: dict[str, Any]) -> None:
    for name in ("SipPhones", "ApiTokens"):
        table = template["Resources"][name]
        assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
        assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["Properties"]["SSESpecification"]["SSEEnabled"] is True
        assert table["Properties"]["DeletionProtectionEnabled"] == {"Fn::If": ["Production", True, False]}
        assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_tables_are_those_of_the_models(template: dict[str, Any]) -> None:
    for name, model in (("SipPhones", SipPhones), ("ApiTokens", ApiTokens)):
        schema = model._get_schema()
        table = properties(template, name)
        assert table["KeySchema"] == schema["key_schema"]
        assert sorted(table["AttributeDefinitions"], key=str) == sorted(schema["attribute_definitions"], key=str)
        assert {index["IndexName"]: index["Projection"] for index in table.get("GlobalSecondaryIndexes", [])} == {
            index["index_name"]: {"ProjectionType": "KEYS_ONLY"} for index in schema["global_secondary_indexes"]
        }
    # Phones have no date at which DynamoDB may delete them.
    assert "TimeToLiveSpecification" not in properties(template, "SipPhones")
    assert properties(template, "ApiTokens")["TimeToLiveSpecification"]["AttributeName"] == "expiresAt"


AUTHORIZED: dict[str, set[str]] = {
    "/pbx/sipphone/{sipPhoneId}/resetcredentials": {"get", "post"},
    "/registrar/digest/{username}": {"get"},
    "/registrar/freeswitch": {"post"},
    "/registrar/asterisk/{family}/single": {"post"},
    "/registrar/asterisk/{family}/multi": {"post"},
    "/registrar/registered": {"post"},
    "/openapi.json": set(),
    "/docs": set(),
    "/docs/{file}": set(),
}


def test_the_api_is_regional_throttled_and_authorized_and_logs_no_bodies(template: dict[str, Any]) -> None:
    api = properties(template, "RestAPI")
    assert api["EndpointConfiguration"] == "REGIONAL" or api["EndpointConfiguration"]["Type"] == "REGIONAL"
    for settings in api["MethodSettings"]:
        assert (settings["DataTraceEnabled"], settings["LoggingLevel"]) == (False, "OFF")
        assert settings["ThrottlingRateLimit"]
    everything, *own = (settings["ResourcePath"] for settings in api["MethodSettings"])
    assert everything == "/*"
    # Each registration asks for a digest: the feed is not held to what people and workflows may ask for.
    feed = [path for path in api["DefinitionBody"]["paths"] if path.startswith("/registrar/")]
    assert sorted(own) == sorted("/" + path.replace("/", "~1") for path in feed)
    assert "header" not in api["AccessLogSetting"]["Format"].lower()
    for path, methods in api["DefinitionBody"]["paths"].items():
        authorized = {name for name, method in methods.items() if method.get("security") == [{"api_token": []}]}
        assert authorized == AUTHORIZED[path]
    scheme = api["DefinitionBody"]["securityDefinitions"]["api_token"]
    assert scheme["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"] <= 60
    assert api["DefinitionBody"]["x-amazon-apigateway-gateway-responses"].keys() == gateway_responses().keys()


def test_the_functions_end_in_time_and_trace_and_log(template: dict[str, Any]) -> None:
    assert properties(template, "APIHandler")["Timeout"] < 29  # when API Gateway gives up
    assert properties(template, "Tend")["Timeout"] < 300  # when the next sweep starts
    for function in FUNCTIONS:
        settings = properties(template, function)
        assert settings["Tracing"] == "Active"
        assert settings["LoggingConfig"]["LogFormat"] == "JSON"
        assert properties(template, f"{function}Logs")["RetentionInDays"]
        assert settings["Runtime"] == f"python{sys.version_info.major}.{sys.version_info.minor}"


def test_no_failed_invocation_is_lost(template: dict[str, Any]) -> None:
    queue = {"Fn::GetAtt": ["FailedInvocations", "Arn"]}
    for function in ("ResetCredentials", "ScheduleRotation", "Tend"):
        settings = properties(template, f"{function}Asynchronously")
        assert settings["DestinationConfig"]["OnFailure"]["Destination"] == queue
        assert "sqs:SendMessage" in granted(template, function)
    (target,) = properties(template, "TendSchedule")["Targets"]
    assert target["DeadLetterConfig"]["Arn"] == queue
    assert properties(template, "FailedInvocations")["SqsManagedSseEnabled"] is True


def test_what_operators_must_hear_of_has_an_alarm(template: dict[str, Any]) -> None:
    alarms = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {*alarms} == {
        "ServerErrorsAlarm", "AuthorizerAlarm", "UnsettledAlarm", "LatenessAlarm", "TendAlarm",
        "FailedInvocationsAlarm", "ThrottlesAlarm",
    }  # fmt: skip
    assert alarms["UnsettledAlarm"]["Threshold"] == 15 * 60
    assert alarms["LatenessAlarm"]["Threshold"] == 24 * 60 * 60
    assert alarms["TendAlarm"]["TreatMissingData"] == "breaching"
    for alarm in alarms.values():
        assert alarm["AlarmActions"]["Fn::If"][0] == "Notify"


def test_alarms_and_dashboard_watch_metrics_that_the_service_emits(
    engine: str, template: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine
    capsys.readouterr()
    telemetry.count_authorization("failed")
    reset = app.services().resets.reset(imported().id, changed_by="t", changed_via="http")
    app.services().registrar.registered(reset.phone.username, scope=EVERY_PHONE)
    app.tend({}, context())
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    emitted = {
        (metric["Name"], frozenset(dimensions))
        for blob in blobs
        for directive in blob["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        for dimensions in directive["Dimensions"]
    }
    watched = {
        (alarm["MetricName"], frozenset(dimension["Name"] for dimension in alarm["Dimensions"]))
        for resource in template["Resources"].values()
        if (alarm := resource.get("Properties", {})).get("Namespace") == telemetry.NAMESPACE
    }
    assert watched
    assert watched <= emitted
    body = properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"]
    widgets = [metric for widget in json.loads(body)["widgets"] for metric in widget["properties"]["metrics"]]
    shown = {(metric[1], frozenset(metric[2::2])) for metric in widgets if metric[0] == telemetry.NAMESPACE}
    assert shown <= emitted
    assert len(shown) == 9
