"""Other AWS services on the deployed functions: Invoke, EventBridge, and the schedule."""

import json
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.e2e.conftest import CUSTOMER, Deployed
from tests.e2e.support import eventually
from tests.support.fleet import new_phone_id

EXAMPLES = PROJECT / "docs" / "examples"
pytestmark = pytest.mark.usefixtures("_on_ministack")


def test_an_invocation_answers_with_ids_and_no_credentials(deployed: Deployed, phone_id: str) -> None:
    answer, output = deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id, "reason": "e2e"})
    assert answer["StatusCode"] == 200
    assert {*output} == {
        "sipPhoneId", "credentialsId", "changedAt", "graceUntil", "mirror", "secretArn", "secretVersionId", "replayed"
    }  # fmt: skip
    mirrored = deployed.mirrored(phone_id)
    assert (output["mirror"], output["secretVersionId"]) == ("current", mirrored["versionId"])
    assert mirrored["password"] not in json.dumps(output)


def test_an_invocation_that_asks_for_credentials_gets_the_phone(deployed: Deployed, phone_id: str) -> None:
    _, output = deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id, "includeCredentials": True})
    assert output["phone"]["password"] == deployed.mirrored(phone_id)["password"]


def test_the_same_key_is_the_same_reset_and_a_later_one_supersedes_it(deployed: Deployed, phone_id: str) -> None:
    event = {"sipPhoneId": phone_id, "idempotencyKey": "k"}
    _, first = deployed.invoke("ResetCredentialsArn", event)
    _, again = deployed.invoke("ResetCredentialsArn", event)
    assert again == {**first, "replayed": True}
    deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id})
    answer, error = deployed.invoke("ResetCredentialsArn", event)
    assert (answer["FunctionError"], error["errorType"]) == ("Unhandled", "Superseded")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"sipPhoneId": new_phone_id()}, "NotFound"),
        ({"sipPhoneId": new_phone_id(), "reason": "x" * 201}, "BadRequest"),
        ({"sipPhoneId": new_phone_id(), "onBehalfOf": {"accessLevel": "PERSONAL"}}, "AccessDenied"),
    ],
)
def test_an_invocation_fails_with_the_error_that_workflows_match(
    deployed: Deployed, event: dict[str, Any], error: str
) -> None:
    answer, body = deployed.invoke("ResetCredentialsArn", event)
    assert (answer["FunctionError"], body["errorType"]) == ("Unhandled", error)


def test_an_asynchronous_invocation_resets_the_phone(deployed: Deployed, phone_id: str) -> None:
    event = {"sipPhoneId": phone_id, "idempotencyKey": "async", "reason": "asynchronously"}
    answer, _ = deployed.invoke("ResetCredentialsArn", event, "Event")
    assert answer["StatusCode"] == 202
    eventually(lambda: "changeReason" in (item := deployed.stored(phone_id)) and "unsettled" not in item)
    assert deployed.mirrored(phone_id)["versionId"] == deployed.stored(phone_id)["credentialsId"]["S"]


def test_what_fails_asynchronously_ends_in_the_queue_for_failures(deployed: Deployed) -> None:
    queue, url = deployed.client("sqs"), deployed.outputs["FailedInvocationsQueue"]
    missing = new_phone_id()
    deployed.invoke("ResetCredentialsArn", {"sipPhoneId": missing}, "Event")
    (message,) = eventually(lambda: queue.receive_message(QueueUrl=url).get("Messages"), seconds=60)
    record = json.loads(message["Body"])
    assert record["requestPayload"] == {"sipPhoneId": missing}
    assert record["responsePayload"]["errorType"] == "NotFound"


def test_each_function_writes_to_its_own_log_group(deployed: Deployed, phone_id: str) -> None:
    deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id})
    logs = deployed.client("logs")

    def line() -> dict[str, Any] | None:
        events = logs.filter_log_events(logGroupName="/sip-credentials/dev/reset-credentials")["events"]
        lines = [event["message"] for event in events if phone_id in event["message"]]
        return json.loads(lines[0]) if lines else None

    assert eventually(line)["message"] == "credentials reset"


def test_a_rotation_can_be_planned(deployed: Deployed, phone_id: str) -> None:
    event = {"sipPhoneIds": [phone_id], "over": "PT1H", "idempotencyKey": "plan"}
    answer, output = deployed.invoke("ScheduleRotationArn", event)
    assert "FunctionError" not in answer, output
    assert (output["phones"], output["complete"]) == (1, True)
    assert "plannedRotation" in deployed.stored(phone_id)


def test_a_customers_rotation_can_be_planned_and_cancelled(deployed: Deployed) -> None:
    _, dry = deployed.invoke("ScheduleRotationArn", {"customer": CUSTOMER, "dryRun": True})
    assert dry["dryRun"]
    assert dry["phones"] > 0
    event = {"customer": CUSTOMER, "cancel": True, "idempotencyKey": "cancel"}
    answer, output = deployed.invoke("ScheduleRotationArn", event)
    assert "FunctionError" not in answer, output


def test_a_reset_is_announced_on_the_stacks_bus_without_a_secret(deployed: Deployed, phone_id: str) -> None:
    queue, events = deployed.client("sqs"), deployed.client("events")
    url = queue.create_queue(QueueName="announcements")["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = deployed.outputs["EventBus"]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    queue.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    pattern = {"source": ["sipphone.credentials"], "detail": {"sipPhoneId": [phone_id]}}
    events.put_rule(Name="announcements", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="announcements", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    _, output = deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id})
    (message,) = eventually(lambda: queue.receive_message(QueueUrl=url).get("Messages"))
    event = json.loads(message["Body"])
    assert event["detail-type"] == "SIP Phone Credentials Reset"
    assert event["detail"]["credentialsId"] == output["credentialsId"]
    mirrored = deployed.mirrored(phone_id)
    assert event["detail"]["username"] == mirrored["username"]
    assert mirrored["password"] not in message["Body"]


def test_a_fraud_alarm_resets_the_phone_through_the_examples_rule(deployed: Deployed, phone_id: str) -> None:
    deployed.client("cloudformation").create_stack(
        StackName="fraud-alarm",
        TemplateBody=(EXAMPLES / "fraud-alarm-rule.json").read_text(),
        Parameters=[{
            "ParameterKey": "ResetCredentialsFunctionArn",
            "ParameterValue": deployed.outputs["ResetCredentialsArn"],
        }],
    )  # fmt: skip
    stack_is_up(deployed, "fraud-alarm")
    alarm = json.loads((EXAMPLES / "fraud-alarm-event.json").read_text())
    alarm["Detail"] = json.dumps({**json.loads(alarm["Detail"]), "sipPhoneId": phone_id})
    deployed.client("events").put_events(Entries=[alarm])
    asked = {"S": "event fraud.detection"}
    eventually(lambda: deployed.stored(phone_id)["changedBy"] == asked)
    assert deployed.stored(phone_id)["changeReason"] == {"S": "calls to premium-rate numbers"}


def test_the_examples_weekly_schedule_can_be_created(deployed: Deployed) -> None:
    deployed.client("cloudformation").create_stack(
        StackName="weekly-rotation",
        TemplateBody=(EXAMPLES / "weekly-rotation-schedule.json").read_text(),
        Parameters=[{
            "ParameterKey": "ScheduleRotationFunctionArn",
            "ParameterValue": deployed.outputs["ScheduleRotationArn"],
        }],
        Capabilities=["CAPABILITY_IAM"],
    )  # fmt: skip
    stack_is_up(deployed, "weekly-rotation")
    schedules = deployed.client("scheduler").list_schedules()["Schedules"]
    assert [schedule["Target"]["Arn"] for schedule in schedules] == [deployed.outputs["ScheduleRotationArn"]]


def stack_is_up(deployed: Deployed, name: str) -> None:
    def up() -> bool:
        (stack,) = deployed.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        assert "ROLLBACK" not in stack["StackStatus"], stack
        return bool(stack["StackStatus"] == "CREATE_COMPLETE")

    eventually(up)


def test_a_phone_whose_date_has_come_is_rotated_by_the_schedule_alone(
    deployed: Deployed, due_phone_id: str
) -> None:
    """The last test, so that the minute has nearly passed."""
    eventually(lambda: deployed.stored(due_phone_id)["changedVia"] == {"S": "schedule"}, seconds=90)
    eventually(lambda: "unsettled" not in deployed.stored(due_phone_id))
    assert deployed.mirrored(due_phone_id)["versionId"] == deployed.stored(due_phone_id)["credentialsId"]["S"]
