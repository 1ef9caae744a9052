"""The phones that are reset and rotated, in the simulator that the environment names."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle, islice
from urllib.parse import urlsplit

import urllib3

import app
from bench.contenders import CALLER, context
from bench.traffic import Latencies, traffic
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.phones import shard_of
from chalicelib.settings import Settings
from ops.importing import import_phones
from ops.local_aws import create_resources
from ops.phone_records import Record
from ops.run import SAMPLE_PHONES

_AT_ONCE = 25  # the most that a BatchWriteItem takes
_FAR = 4_000_000_000


@dataclass(frozen=True)
class Sweep:
    """What a sweep took: seconds, processor seconds, requests, and items that its queries read."""

    rotated: int
    seconds: float
    processor_seconds: float
    requests: Counter[str]
    items: int
    late: int


def phone_ids(count: int, *, first: int = 0) -> list[str]:
    """The ids of phones by their numbers."""
    return [f"5F{number:022X}" for number in range(first, first + count)]


def rounds(ids: Sequence[str], each: int) -> Iterator[list[str]]:
    """The phones, ``each`` at a time, again and again, so that none has more versions than others."""
    endless = cycle(ids)
    while True:
        yield list(islice(endless, each))


def create(ids: Sequence[str]) -> None:
    """Creates the tables and imports phones: the first of `make run`, under other ids, rotated every 30 days."""
    create_resources(Settings.from_env())
    sample = {**json.loads(SAMPLE_PHONES.read_text())[0], "rotationDays": 30}
    records = [Record(line, {**sample, "_id": phone_id}) for line, phone_id in enumerate(ids)]
    for result in import_phones(app.services(), records, by="bench"):
        if result.reason or result.pending:
            raise RuntimeError(f"phone {result.line} was not imported: {result.reason}")


def fill(count: int, *, first: int) -> None:
    """Adds phones that nobody tends before the year 2096, and that have no secret: only what the agenda needs.

    Without the SDK, whose work for 25 items is many times the simulator's.
    """
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    pool = urllib3.HTTPConnectionPool(url.hostname or "", url.port)
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/eu-west-1/dynamodb/aws4_request",
    }
    table = Settings.from_env().phones_table
    for start in range(first, first + count, _AT_ONCE):
        ids = phone_ids(min(_AT_ONCE, first + count - start), first=start)
        puts = [
            {
                "PutRequest": {
                    "Item": {
                        "_id": {"S": phone_id},
                        "tendShard": {"N": str(shard_of(phone_id))},
                        "tendAt": {"N": str(_FAR)},
                    }
                }
            }
            for phone_id in ids
        ]
        answer = pool.request("POST", "/", headers=headers, body=json.dumps({"RequestItems": {table: puts}}))
        if answer.status != 200 or answer.json().get("UnprocessedItems"):  # noqa: PLR2004 - HTTP's OK
            raise RuntimeError(f"phones were not written: {answer.status}")


def issue_token() -> str:
    """A token of the phones' owner."""
    return tokens.issue(
        AccessLevel.OWNER,
        customer=CALLER["customer"],
        description="bench",
        lifetime=timedelta(hours=1),
        now=app.services().clock(),
    )


def sweep(ids: Sequence[str], latencies: Latencies) -> Sweep:
    """Plans the rotation of phones for now, and has the service's `tend` rotate them all."""
    context_ = context()
    plan = app.schedule_rotation(
        {"sipPhoneIds": list(ids), "over": "PT0S", "idempotencyKey": os.urandom(8).hex()}, context_
    )
    if plan["phones"] != len(ids):
        raise RuntimeError(f"not all phones were planned: {plan}")
    time.sleep(1)  # the date is the next full second
    with traffic.measured(latencies):
        began, processor_began = time.perf_counter(), time.process_time()
        swept = app.tend({}, context_)
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    if not swept["due"] == swept["rotated"] == len(ids):
        raise RuntimeError(f"not all phones were rotated: {swept}")
    return Sweep(
        swept["rotated"], seconds, processor_seconds, traffic.requests(), sum(traffic.items), len(traffic.late)
    )
