"""``./phones --stage dev`` on the deployed stack: everything it needs to know, the stack tells it."""

import json
import subprocess
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.e2e.conftest import Deployed
from tests.support.cli import PROGRAM, Done, environment
from tests.support.fleet import new_owner, new_phone_id

pytestmark = pytest.mark.usefixtures("_on_ministack")


def operate(*arguments: str, stdin: str = "", **variables: str) -> Done:
    """Runs a command on the stage, with no table, bus or prefix named."""
    done = subprocess.run(
        [*PROGRAM, "--stage", "dev", *arguments],
        cwd=PROJECT, input=stdin, capture_output=True, text=True, check=False, env=environment(**variables),
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def record(*arguments: str, stdin: str = "") -> dict[str, Any]:
    done = operate(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_stage_is_all_that_has_to_be_named(deployed: Deployed) -> None:
    phone_id, customer = new_phone_id(), new_owner()
    phone = {"_id": phone_id, "customer": customer, "rotationDays": 30, "username": "u", "password": "the-former"}
    assert record("import", "-", stdin=json.dumps(phone))["added"] == 1
    assert deployed.stored(phone_id)["password"] == {"S": "the-former"}
    assert record("find", "--customer", customer)["_id"] == phone_id

    reset = record("reset", phone_id, "--reveal")
    assert reset["mirror"] == "current"
    assert deployed.mirrored(phone_id)["password"] == reset["phone"]["password"] != "the-former"
    assert deployed.stored(phone_id)["changedVia"] == {"S": "cli"}
    assert record("show", phone_id)["credentials"]["copy"] == "current"

    assert record("rotate", phone_id, "--over", "4h", "--not-before", "2030-01-01", "--dry-run")["phones"] == 1
    assert record("status")["phones"]["phones"] >= 1
    text = operate("tokens", "issue", "--level", "ADMIN", "--description", "operators").stdout.strip()
    assert text.split("_")[1] in operate("tokens", "list").stdout


def test_differences_of_the_stage_are_found_and_mended(deployed: Deployed, tmp_path: Any) -> None:
    phone_id = new_phone_id()
    record("import", "-", stdin=json.dumps({"_id": phone_id, "customer": "C"}))
    secrets = deployed.client("secretsmanager")
    secrets.put_secret_value(SecretId=f"sip-phones/{phone_id}", SecretString='{"password": "another"}')
    verify = ("verify", "--checkpoint", str(tmp_path / "checkpoint"))
    found = [json.loads(line) for line in operate(*verify).stdout.splitlines()]
    assert [each["finding"] for each in found if each["sipPhoneId"] == phone_id] == ["differs"]
    operate(*verify, "--repair")
    assert record("show", phone_id)["credentials"]["copy"] == "current"


def test_the_doctor_knows_the_stage() -> None:
    done = operate("doctor")
    assert "Traceback" not in done.stderr, done.stderr
    checks = {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}
    assert checks["stack"]["detail"].endswith("_COMPLETE")
    assert checks["schedule"] == {
        "check": "schedule", "state": "ok", "detail": "rate(1 minute), ENABLED", "remedy": ""
    }  # fmt: skip
    assert [name for name, check in checks.items() if check["state"] == "failure"] == [], done.stdout
    assert done.returncode == 0


def test_the_doctor_says_what_an_operator_may_not_do(deployed: Deployed) -> None:
    iam = deployed.client("iam")
    iam.create_user(UserName="reader")
    actions = [
        "cloudformation:Describe*",
        "lambda:Get*",
        "dynamodb:Describe*",
        "dynamodb:GetItem",
        "dynamodb:Scan",
    ]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    done = operate("doctor", AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    checks = {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    refused = checks["permissions"]["detail"]
    assert "dynamodb:UpdateItem" in refused
    assert "secretsmanager:PutSecretValue" in refused
    assert "dynamodb:GetItem" not in refused
