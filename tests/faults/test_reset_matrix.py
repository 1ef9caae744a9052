"""Every AWS call of a reset, spoilt in every way that AWS and the network can.

For each cell: the caller gets a status of the contract while API Gateway still waits, an answered pair is in the table,
and when the fault is over one sweep makes the mirror right.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import botocore.session
import pytest

import app
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.resets import Resets
from chalicelib.tending import Tending
from ops.gateway import LAMBDA_TIMEOUT_SECONDS
from tests.faults.conftest import Faults
from tests.support.api import ChaliceApi
from tests.support.fleet import admin, imported, pair_of, reset_path, stored

CALLS: dict[str, dict[str, Any]] = {
    "commit": {"service": "dynamodb", "operation": "UpdateItem", "body": "contains(UpdateExpression, 'ADD')"},
    "put secret": {"service": "secretsmanager", "operation": "PutSecretValue"},
    "put event": {"service": "events", "operation": "PutEvents"},
    "settle": {"service": "dynamodb", "operation": "UpdateItem", "body": "contains(UpdateExpression, 'DELETE')"},
}
THROTTLED = {"code": "ThrottlingException", "status": 400}
FAULTS: dict[str, dict[str, Any]] = {
    "throttled once": {"error": THROTTLED, "times": 1},
    "throttled": {"error": THROTTLED},
    "500": {"error": {"code": "InternalServerError", "status": 500}},
    "503": {"error": {"code": "ServiceUnavailable", "status": 503}},
    "denied": {"error": {"code": "AccessDeniedException", "status": 400}},
    "reset before": {"reset": True},
    "answer lost": {"response": {"abort_bytes": 0}},
    "time-out": {"timeout_ms": 30_000},
    "2 s latency": {"latency": 2_000},
    "truncated": {"response": {"truncate_frac": 0.5}},
}

Cell = tuple[int, str, float]


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Cell]]:
    """Collects what each cell saw, and prints it as a table in the end."""
    cells: dict[tuple[str, str], Cell] = {}
    yield cells
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n\n{'answer, mirror, seconds':<24}" + "".join(f"{call:>22}" for call in CALLS))
        for fault in FAULTS:
            row = [cells.get((call, fault)) for call in CALLS]
            shown = [f"{cell[0]} {cell[1]} {cell[2]:.1f}" if cell else "not run" for cell in row]
            print(f"{fault:<24}" + "".join(f"{text:>22}" for text in shown))
        print(f"{len(cells)} of {len(CALLS) * len(FAULTS)} cells green")


def sweep_when_publishers_are_gone() -> None:
    """One sweep, after the time that a publisher has."""
    services = app.services()

    def later() -> Any:
        return services.clock() + PUBLISHER_LIFE * 1.1

    publisher = replace(services.publisher, clock=later)
    Tending(Resets(publisher, later), publisher, later, rate=1_000, workers=4).tend(lambda: PUBLISHER_LIFE)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_reset_survives(faults: Faults, matrix: dict[tuple[str, str], Cell], call: str, fault: str) -> None:
    phone, headers = imported(), {**admin(), "Idempotency-Key": "k"}
    faults.inject({**CALLS[call], **FAULTS[fault]})
    began = time.monotonic()
    try:
        answer = ChaliceApi().request("POST", reset_path(phone.id), headers)
    finally:
        faults.clear()
    seconds = time.monotonic() - began

    assert seconds < LAMBDA_TIMEOUT_SECONDS
    if call == "commit":
        assert answer.status in ({500} if fault == "denied" else {200, 503})
    else:
        assert answer.status == 200
    if answer.status == 200:
        assert pair_of(stored(phone.id)) == (answer.json["username"], answer.json["password"])
    else:
        # The same key settles what happened: one pair, whether or not the first attempt made it.
        again = ChaliceApi().request("POST", reset_path(phone.id), headers)
        assert again.status == 200
        assert pair_of(stored(phone.id)) == (again.json["username"], again.json["password"])

    sweep_when_publishers_are_gone()
    now = stored(phone.id)
    secrets_manager: Any = botocore.session.get_session().create_client("secretsmanager")
    copy = json.loads(secrets_manager.get_secret_value(SecretId=f"sip-phones/{phone.id}")["SecretString"])
    assert (copy["username"], copy["password"]) == pair_of(now)
    assert not now.unsettled
    matrix[call, fault] = (answer.status, answer.headers.get("credentials-mirror", "-"), seconds)
