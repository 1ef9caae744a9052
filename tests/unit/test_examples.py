"""The examples for other AWS workflows agree with the functions that they call."""

import json
from datetime import UTC, datetime
from typing import Any

from chalicelib import errors
from chalicelib.invocations import reset_invocation, rotation_invocation
from ops.gateway import PROJECT

EXAMPLES = PROJECT / "docs" / "examples"
RAISED = {"NotFound", "AccessDenied", "BadRequest", "Superseded", "Unavailable", "InternalError"}
OUTPUT = {"sipPhoneId", "credentialsId", "changedAt", "mirror", "secretArn", "secretVersionId", "replayed"}


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / name).read_text())
    return document


def test_the_state_machine_catches_every_error_of_the_function_by_its_name() -> None:
    states = example("reset-state-machine.asl.json")["States"]
    caught = {name for catcher in states["ResetCredentials"]["Catch"] for name in catcher["ErrorEquals"]}
    assert caught == RAISED | {"States.ALL"}
    assert all(hasattr(errors, name) for name in RAISED)


def test_the_state_machine_asks_for_what_the_function_takes_and_reads_what_it_answers() -> None:
    task = example("reset-state-machine.asl.json")["States"]["ResetCredentials"]
    asked = {name.removesuffix(".$"): "A" * 24 for name in task["Parameters"]["Payload"]}
    assert reset_invocation(asked, request_id="r").include_credentials is False
    assert {path.removeprefix("$.Payload.") for path in task["ResultSelector"].values()} == OUTPUT


def test_every_state_can_be_reached_and_exists() -> None:
    machine = example("reset-state-machine.asl.json")
    named = {machine["StartAt"]}
    for state in machine["States"].values():
        parts = [state, *state.get("Catch", []), *state.get("Choices", [])]
        named |= {part[link] for part in parts for link in ("Next", "Default") if link in part}
    assert named == {*machine["States"]}


def test_the_fraud_alarm_fires_the_rule_and_is_a_valid_input() -> None:
    entry = example("fraud-alarm-event.json")
    (rule,) = (
        resource["Properties"]
        for resource in example("fraud-alarm-rule.json")["Resources"].values()
        if resource["Type"] == "AWS::Events::Rule"
    )
    assert entry["Source"] in rule["EventPattern"]["source"]
    assert entry["DetailType"] in rule["EventPattern"]["detail-type"]
    envelope = {"id": "e", "source": entry["Source"], "detail-type": entry["DetailType"]}
    asked = reset_invocation({**envelope, "detail": json.loads(entry["Detail"])}, request_id="r")
    assert (asked.request_key, asked.asked_by) == ("e", "event fraud.detection")


def test_the_schedule_has_a_valid_input_of_its_own() -> None:
    (schedule,) = (
        resource["Properties"]
        for resource in example("weekly-rotation-schedule.json")["Resources"].values()
        if resource["Type"] == "AWS::Scheduler::Schedule"
    )
    asked = rotation_invocation(
        json.loads(schedule["Target"]["Input"]), request_id="r", now=datetime(2026, 1, 31, tzinfo=UTC)
    )
    assert asked.selection.customer
    assert "<aws.scheduler.scheduled-time>" in asked.request_key
