"""The examples for other AWS workflows agree with the functions that they call."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import urllib3

import app
from chalicelib import errors
from chalicelib.invocations import reset_invocation, rotation_invocation
from ops.gateway import PROJECT, GatewayServer
from tests.support.aws import Wire
from tests.support.fleet import admin, imported, new_phone_id, stored

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


@pytest.fixture
def service(engine: str) -> Iterator[str]:
    assert engine == "roto"
    server = GatewayServer(app.app)
    server.serve_in_background()
    yield server.url
    server.shutdown()
    server.server_close()


@pytest.fixture
def losing_an_answer(service: str) -> Iterator[str]:
    """The service behind a connection that breaks before the first answer comes through."""

    class Connection(BaseHTTPRequestHandler):
        lost = 0

        def do_POST(self) -> None:
            answer = urllib3.request("POST", service + self.path, headers=dict(self.headers))
            if not Connection.lost:
                Connection.lost += 1
                return
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

    server = HTTPServer(("127.0.0.1", 0), Connection)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    assert Connection.lost == 1
    server.shutdown()
    server.server_close()


Program = Callable[[str, str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python_example() -> Program:
    """Runs the example against an API, for a phone."""

    def run(api: str, phone_id: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, EXAMPLES / "reset_phone.py", phone_id, "order 4711, phone 1"],
            env={**os.environ, "API": api, "TOKEN": admin()["Authorization"].removeprefix("Bearer ")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.engine("roto")
def test_the_python_example_repeats_what_was_not_answered_and_gets_the_pair_of_its_first_attempt(
    losing_an_answer: str, python_example: Program
) -> None:
    phone = imported()
    done = python_example(losing_an_answer, phone.id)
    assert done.returncode == 0, done.stderr
    now = stored(phone.id)
    answered = json.loads(done.stdout)
    assert (answered["username"], answered["password"]) == (now.username, now.password)
    assert len(now.requests()) == 1


@pytest.mark.engine("roto")
def test_the_python_example_repeats_after_a_503(
    service: str, python_example: Program, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    phone = imported()
    wire.refuse("UpdateItem", "ThrottlingException", times=3)  # as often as the SDK asks for one request
    with caplog.at_level(logging.INFO, logger="ops.gateway"):
        done = python_example(service, phone.id)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["password"] == stored(phone.id).password != phone.password
    statuses = [
        record.getMessage().split('"')[-1].split()[0] for record in caplog.records if record.name == "ops.gateway"
    ]
    assert statuses == ["503", "200"]


@pytest.mark.engine("roto")
def test_the_python_example_says_in_one_line_why_a_reset_was_refused(
    service: str, python_example: Program
) -> None:
    done = python_example(service, new_phone_id())
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: 404 not_found: SIP phone not found (request ")
