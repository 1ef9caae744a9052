"""The doctor: what is wrong is found, and it is said what to do."""

import json
from datetime import timedelta
from typing import Any

import pytest

import app
from chalicelib import phone_writes
from chalicelib.clock import utc_now
from chalicelib.phones import SipPhones
from ops.deployments import Deployment
from ops.doctor import Check, State, examine
from tests.support.aws import Wire
from tests.support.cli import on_a_terminal, phones, program, records, without_colours
from tests.support.fleet import imported, stored

pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("engine")]
OF_ALL = {
    "credentials",
    "region",
    "clock",
    "tables",
    "indexes",
    "permissions",
    "bus",
    "schedule",
    "sweeps",
    "quotas",
}


def checks(**variables: str) -> dict[str, dict[str, str]]:
    """The last check of each name, on a deployment of these settings."""
    done = program("doctor", **variables)
    return {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}


def found(wire: Wire) -> dict[str, Check]:
    assert wire
    return {check.name: check for check in examine(Deployment())}


@pytest.mark.usefixtures("no_phones")  # those of other tests may be due
def test_a_healthy_deployment_has_a_line_for_everything_and_nothing_to_do() -> None:
    lines = records("doctor")
    assert {line["check"] for line in lines} == OF_ALL
    # Without --stage nobody knows the schedule.
    assert [line["check"] for line in lines if line["state"] != "ok"] == ["schedule"]


def test_nothing_is_changed() -> None:
    phone = imported()
    before = phone.to_simple_dict(force=True)
    assert phones("doctor").returncode == 0
    assert SipPhones.get(phone.id).to_simple_dict(force=True) == before
    assert SipPhones.find("0" * 24) is None


def test_without_credentials_that_is_all_it_says() -> None:
    done = program(
        "doctor", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true",
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )  # fmt: skip
    (only,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, only["check"], only["state"]) == (1, "credentials", "failure")
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret" in only["detail"]


def test_tables_and_bus_that_are_not_there_are_failures() -> None:
    seen = checks(TOKENS_TABLE="no-such-table", EVENT_BUS="no-such-bus")
    assert {name for name, check in seen.items() if check["state"] == "failure"} == {"tables", "bus"}
    assert "ResourceNotFoundException" in seen["tables"]["detail"]


def test_a_table_without_its_indexes_is_a_failure(aws_client: Any) -> None:
    aws_client("dynamodb").create_table(
        TableName="bare", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "_id", "KeyType": "HASH"}],
    )  # fmt: skip
    done = program("doctor", PHONES_TABLE="bare")
    failures = [line for line in map(json.loads, done.stdout.splitlines()) if line["check"] == "indexes"]
    assert [line["detail"] for line in failures] == [
        f"bare has no index {name}" for name in ("agenda", "by-customer", "by-username", "by-previous-username")
    ]
    assert done.returncode == 1


def test_missing_permissions_are_named(wire: Wire) -> None:
    wire.refuse("UpdateItem", "AccessDeniedException")
    wire.answer(
        "BatchGetSecretValue",
        {"SecretValues": [], "Errors": [{"SecretId": "x", "ErrorCode": "AccessDeniedException"}]},
    )
    check = found(wire)["permissions"]
    assert check.state is State.FAILURE
    assert check.detail == "not allowed: dynamodb:UpdateItem, secretsmanager:BatchGetSecretValue"
    assert check.remedy == "have them granted"


@pytest.mark.parametrize(("minutes", "state"), [(0, "ok"), (2, "warning"), (10, "failure")])
def test_a_clock_that_is_off_is_told(minutes: int, state: str) -> None:
    off = Deployment(clock=lambda: utc_now() + timedelta(minutes=minutes))
    (check,) = (check for check in examine(off) if check.name == "clock")
    assert check.state == state
    assert ("NTP" in check.remedy) == (minutes > 0)


def test_phones_that_no_sweep_tended_are_told(wire: Wire) -> None:
    late = imported(rotationDays=30)
    phone_writes.reschedule(late, due=app.services().clock() - timedelta(hours=2), planned=True)
    check = found(wire)["sweeps"]
    phone_writes.reschedule(stored(late.id), due=None)
    assert (check.state, check.detail) == (State.WARNING, "a phone has waited for 120 minutes")
    assert "`./phones tend`" in check.remedy


def test_quotas_that_are_nearly_used_up_are_told(wire: Wire) -> None:
    table = {"TableStatus": "ACTIVE", "ItemCount": 450_000, "TableSizeBytes": 1}
    for _ in range(4):  # both tables, the indexes, the quotas
        wire.answer("DescribeTable", {"Table": table})
    check = found(wire)["quotas"]
    assert (check.state, check.detail) == (State.WARNING, "450,000 of 500,000 secrets of a region")
    assert check.remedy


def test_a_rate_that_leaves_nothing_to_resets_and_a_period_too_short_are_told() -> None:
    done = program("doctor", TEND_RATE_PER_SECOND="50", ROTATION_DAYS="1")
    quotas = [line for line in map(json.loads, done.stdout.splitlines()) if line["check"] == "quotas"]
    assert [line["state"] for line in quotas] == ["ok", "warning", "ok"]
    assert "sweeps may write 50 of the 50 secrets a second" in quotas[1]["detail"]
    assert "of 4,320,000 rotations that sweeps have time for in a day" in quotas[2]["detail"]


def test_on_a_terminal_each_check_is_a_line_with_what_to_do() -> None:
    status, shown = on_a_terminal("doctor")
    lines = without_colours(shown).splitlines()
    assert status == 0
    assert lines[0].split()[:2] == ["ok", "credentials"]
    assert "warning schedule     nobody knows which it is → name the deployment with --stage" in lines
