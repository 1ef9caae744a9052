"""The state machine of docs/examples with its consumer, on the deployed functions: to its end, and to its failures."""

import io
import json
import zipfile
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.e2e.conftest import Deployed
from tests.e2e.support import eventually
from tests.support.fleet import new_phone_id

pytestmark = pytest.mark.usefixtures("_on_ministack")

EXAMPLES = PROJECT / "docs" / "examples"
FINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


def role(deployed: Deployed, name: str, service: str, *statements: dict[str, Any]) -> str:
    iam = deployed.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    arn: str = made["Role"]["Arn"]
    return arn


def consumer(deployed: Deployed, name: str, source: str) -> str:
    """The examples' consumer, with the one permission that docs/examples says it needs."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("provision_phone.py", source)
    reading = {
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "arn:aws:secretsmanager:*:*:secret:sip-phones/*",
    }
    made = deployed.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="provision_phone.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
        Role=role(deployed, name, "lambda.amazonaws.com", reading),
    )
    return str(made["FunctionArn"])


def machine(deployed: Deployed, name: str, consumer_arn: str) -> str:
    """The examples' state machine."""
    functions = {
        "ResetCredentialsFunctionArn": deployed.outputs["ResetCredentialsArn"],
        "ProvisionPhoneFunctionArn": consumer_arn,
    }
    definition = (EXAMPLES / "reset-state-machine.asl.json").read_text()
    for placeholder, arn in functions.items():
        definition = definition.replace(f"${{{placeholder}}}", arn)
    invoking = {"Action": "lambda:InvokeFunction", "Resource": [*functions.values()]}
    made = deployed.client("stepfunctions").create_state_machine(
        name=name, definition=definition, roleArn=role(deployed, name, "states.amazonaws.com", invoking)
    )
    return str(made["stateMachineArn"])


@pytest.fixture(scope="session")
def machine_arn(deployed: Deployed) -> str:
    source = (EXAMPLES / "provision_phone.py").read_text()
    return machine(deployed, "reset", consumer(deployed, "provision_phone", source))


@pytest.fixture(scope="session", autouse=True)
def failing_execution(deployed: Deployed, _phones: list[str]) -> tuple[str, str]:
    """An execution whose consumer fails, which takes half a minute of retries; and its phone."""
    source = (EXAMPLES / "provision_phone.py").read_text()
    source += "\n\ndef provision(*_):\n    raise RuntimeError('the provisioning server is down')\n"
    arn = machine(deployed, "failing", consumer(deployed, "failing_consumer", source))
    return start(deployed, arn, "failing", phone_id := _phones.pop(), "e2e"), phone_id


def start(deployed: Deployed, machine_arn: str, name: str, phone_id: str, reason: str) -> str:
    started = deployed.client("stepfunctions").start_execution(
        stateMachineArn=machine_arn, name=name, input=json.dumps({"sipPhoneId": phone_id, "reason": reason})
    )
    return str(started["executionArn"])


def ended(deployed: Deployed, arn: str) -> dict[str, Any]:
    """An execution that has ended, with its last state as ``state`` and its history as ``history``."""
    states = deployed.client("stepfunctions")

    def end() -> dict[str, Any] | None:
        execution: dict[str, Any] = states.describe_execution(executionArn=arn)
        return execution if execution["status"] in FINAL else None

    execution = eventually(end, seconds=60)
    history = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
    ]
    return {**execution, "state": entered[-1], "history": json.dumps(history, default=str)}


def executed(deployed: Deployed, machine_arn: str, name: str, phone_id: str, reason: str) -> dict[str, Any]:
    return ended(deployed, start(deployed, machine_arn, name, phone_id, reason))


def test_the_state_machine_resets_and_provisions_with_no_secret_in_its_history(
    deployed: Deployed, machine_arn: str, phone_id: str
) -> None:
    execution = executed(deployed, machine_arn, "good", phone_id, "e2e")
    assert (execution["status"], execution["state"]) == ("SUCCEEDED", "CredentialsReset"), execution["history"]
    mirrored = deployed.mirrored(phone_id)
    assert json.loads(execution["output"])["provisioned"]["secretVersionId"] == mirrored["versionId"]
    assert mirrored["password"] not in execution["history"]
    assert mirrored["username"] not in execution["history"]
    # The execution's name is the key.
    _, again = deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id, "idempotencyKey": "good"})
    assert (again["replayed"], again["credentialsId"]) == (True, mirrored["versionId"])


def test_the_state_machine_fails_with_the_names_of_the_errors(
    deployed: Deployed, machine_arn: str, phone_id: str
) -> None:
    """Unavailable, InternalError and MirrorStillPending come after minutes of retries, and are left to Step Functions."""
    missing = executed(deployed, machine_arn, "missing", new_phone_id(), "e2e")
    assert (missing["status"], missing["state"], missing["error"]) == ("FAILED", "PhoneNotFound", "NotFound")
    malformed = executed(deployed, machine_arn, "malformed", phone_id, "x" * 201)
    assert (malformed["state"], malformed["error"]) == ("RequestMalformed", "BadRequest")
    assert "reason" in malformed["cause"]


def test_the_state_machine_ends_well_when_a_later_reset_has_replaced_its_own(
    deployed: Deployed, machine_arn: str, phone_id: str
) -> None:
    deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id, "idempotencyKey": "late"})
    deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id})
    execution = executed(deployed, machine_arn, "late", phone_id, "e2e")
    assert (execution["status"], execution["state"]) == ("SUCCEEDED", "ResetAgainBySomebodyElse")
    assert json.loads(execution["output"])["outcome"] == "superseded"


def test_the_state_machine_fails_when_the_phone_is_not_provisioned(
    deployed: Deployed, failing_execution: tuple[str, str]
) -> None:
    arn, phone_id = failing_execution
    execution = ended(deployed, arn)
    assert (execution["state"], execution["error"]) == ("PhoneNotProvisioned", "PhoneNotProvisioned")
    assert "the provisioning server is down" in execution["cause"]
    assert deployed.mirrored(phone_id)["password"] not in execution["history"]
