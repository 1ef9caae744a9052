"""What sweeps cost and how fast they are: counted, and measured with realistic latencies injected.

Latencies: DynamoDB 5 ms, Secrets Manager 25 ms, EventBridge 15 ms, added to each request as it is sent.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib import phone_writes
from chalicelib.credentials import new_id
from chalicelib.phones import SipPhones, shard_of
from chalicelib.rotation import next_rotation
from ops.gateway import PROJECT
from tests.support.aws import Wire
from tests.support.fleet import imported, new_phone_id, stored

LATENCIES = {"dynamodb": 0.005, "secrets-manager": 0.025, "eventbridge": 0.015}
HOUR = timedelta(hours=1)

# roto: a server of its own, so that the figures are those of the client.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("no_phones")]


def fleet(size: int, *, due: int) -> list[str]:
    """Puts ``size`` phones into the table, ``due`` of them due, and answers with the ids of those."""
    now = app.services().clock()
    ids = [new_phone_id() for _ in range(size)]
    with SipPhones.batch_write() as batch:
        for place, phone_id in enumerate(ids):
            batch.save(
                SipPhones(
                    phone_id,
                    customer="C",
                    username="u",
                    password="p",
                    rotation_days=30,
                    credentials_id=new_id(),
                    credentials_changed_at=now - timedelta(days=30),
                    recent_requests={},
                    tend_shard=shard_of(phone_id),
                    tend_at=now - timedelta(minutes=1) if place < due else now + timedelta(days=1),
                )
            )
    return ids[:due]


def unpaced(workers: int = 8) -> Callable[[], Any]:
    tending = replace(app.services().tending, rate=float("inf"), workers=workers)
    return lambda: tending.tend(lambda: HOUR)


def test_a_sweep_costs_what_is_due_and_not_what_exists(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    requests: dict[int, Counter[str]] = {}
    for size in (1_000, 10_000):
        due = set(fleet(size, due=500))
        items_read = 0
        touched: set[str] = set()

        def look(request: AWSPreparedRequest, touched: set[str] = touched) -> None:
            touched.add(json.loads(cast(bytes, request.body))["Key"]["_id"]["S"])

        def count(page: Any) -> None:
            nonlocal items_read
            items_read += page["Count"]

        with wire.recorded() as sent, wire.watched("UpdateItem", look), wire.answered("Query", count):
            result = unpaced()()
        assert result.rotated == result.due == 500
        assert items_read <= 500
        assert touched == due
        requests[size] = Counter(sent)
        with capsys.disabled():
            print(f"\n{size:,} phones, 500 due: {items_read} index items read, requests {dict(requests[size])}")
    assert requests[1_000] == requests[10_000]


def test_a_sweep_keeps_its_pace(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    fleet(1_000, due=1_000)
    paced = replace(app.services().tending, rate=40, workers=8)
    with wire.slowed(LATENCIES):
        began = time.monotonic()
        result = paced.tend(lambda: HOUR)
        seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\n1,000 due phones at 40 a second: {seconds:.1f} s, ideal 25 s")
    assert result.rotated == 1_000
    assert seconds > 24  # never faster; how much slower is a matter of the machine


def test_a_fleet_imported_at_once_is_not_rotated_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    imported_at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    slot = timedelta(minutes=5)
    slots: Counter[int] = Counter()
    for _ in range(10_000):
        due = next_rotation(changed_at=imported_at, credentials_id=new_id(), days=90)
        assert due is not None
        slots[(due - imported_at) // slot] += 1
    fullest = max(slots.values())
    with capsys.disabled():
        print(
            f"\n10,000 phones imported at once, 90 days: fullest 5-minute slot has {fullest} phones, at most 100"
        )
    assert fullest <= 100


SWEEP = """
import sys, time
from datetime import timedelta
from chalicelib.clock import utc_now
from chalicelib.services import connect
from chalicelib.settings import Settings
from dataclasses import replace
later = timedelta(seconds=float(sys.argv[1]))
services = connect(Settings.from_env(), clock=lambda: utc_now() + later)
print("sweeping", flush=True)
print(replace(services.tending, rate=100).tend(lambda: timedelta(hours=1)), flush=True)
"""


def start_sweep(later: timedelta) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(later.total_seconds())],
        cwd=PROJECT, env=dict(os.environ), text=True, stdout=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def phones_due(aws_client: Callable[[str], Any]) -> list[SipPhones]:
    assert aws_client("events")
    phones = [imported(rotationDays=30) for _ in range(150)]
    for phone in phones:
        phone_writes.reschedule(phone, due=app.services().clock() - timedelta(minutes=1))
    return phones


def test_a_sweep_that_was_killed_is_finished_by_the_next_and_no_phone_is_rotated_twice(
    phones_due: list[SipPhones], aws_client: Callable[[str], Any], mirrored: Callable[[str], dict[str, Any]]
) -> None:
    before = {phone.id: phone.credentials_id for phone in phones_due}
    killed = start_sweep(timedelta(0))
    assert killed.stdout is not None
    assert killed.stdout.readline() == "sweeping\n"
    while sum(stored(phone_id).credentials_id != old for phone_id, old in list(before.items())[::10]) < 7:
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    half_way = {phone_id: stored(phone_id).credentials_id for phone_id in before}
    rotated = [phone_id for phone_id, old in before.items() if half_way[phone_id] != old]
    assert 0 < len(rotated) < len(before)

    finished = start_sweep(phone_writes.PUBLISHER_LIFE + timedelta(seconds=10))
    finished.communicate(timeout=60)
    assert finished.returncode == 0

    for phone_id, old in before.items():
        phone = stored(phone_id)
        assert phone.credentials_id != old
        assert phone_id not in rotated or phone.credentials_id == half_way[phone_id]
        assert mirrored(phone_id)["password"] == phone.password
        assert not phone.unsettled
        versions = aws_client("secretsmanager").list_secret_version_ids(
            SecretId=f"sip-phones/{phone_id}", IncludeDeprecated=True
        )["Versions"]
        assert len(versions) == 2  # the import's and the rotation's
