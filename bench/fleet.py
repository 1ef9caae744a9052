"""The phones that are reset and rotated, in the simulator that the environment names."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

import urllib3

import app
from bench.contenders import CALLER, context
from bench.traffic import NONE, Latencies, traffic
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.phones import SipPhones, shard_of
from chalicelib.settings import Settings
from ops.importing import import_phones
from ops.local_aws import create_resources
from ops.phone_records import Record
from ops.run import SAMPLE_PHONES
from tests.support.archive import event

NO_GRACE = {"ROTATION_GRACE_SECONDS": "0"}
"""For a process that is to rotate the same phones again: none is rotated during its grace period."""

Phones = Iterator[list[str]]
"""The phones of one batch after another."""

_AT_ONCE = 25  # the most that a BatchWriteItem takes
_FAR = 4_000_000_000


@dataclass(frozen=True)
class Sweep:
    """What a sweep took: seconds and processor seconds from its first commit, requests, and items that it read.

    Before that it reads the agenda, for which the simulator looks at every item, as DynamoDB does not.
    """

    rotated: int
    seconds: float
    processor_seconds: float
    requests: Counter[str]
    items: int
    late: int


def phone_ids(count: int, *, first: int = 0) -> list[str]:
    """The ids of phones by their numbers."""
    return [f"5F{number:022X}" for number in range(first, first + count)]


def rounds(ids: Sequence[str], each: int) -> Phones:
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


def grace_ends_in_time(ids: Sequence[str]) -> Counter[str]:
    """Rotates phones, lets their grace periods run out, and answers what a sweep asks of AWS to end these."""
    sweep(ids, NONE)
    time.sleep(Settings.from_env().rotation_grace_seconds + 1)
    with traffic.measured(NONE):
        swept = app.tend({}, context())
    if swept["graceEnded"] != len(ids):
        raise RuntimeError(f"not all grace periods were ended: {swept}")
    return Counter({name: count for name, count in traffic.requests().items() if name != "Query"})


def grace_ends_by_proof(ids: Sequence[str]) -> Counter[str]:
    """Rotates phones and answers what it asks of AWS to take note that each has registered with its new pair."""
    sweep(ids, NONE)
    reports = [_registration(SipPhones.get(phone_id).username) for phone_id in ids]
    with traffic.measured(NONE):
        answers = [app.app(report, context()) for report in reports]
    for answer in answers:
        if not json.loads(answer["body"]).get("adopted"):
            raise RuntimeError(f"a registration was answered with {answer['statusCode']}: {answer['body']}")
    return traffic.requests()


def _registration(username: str) -> dict[str, Any]:
    """What API Gateway sends when a registrar reports that a phone has registered."""
    resource = "/registrar/registered"
    asked = event("api_gateway_reset")
    asked.update(resource=resource, path=resource, pathParameters=None, body=json.dumps({"username": username}))
    asked["requestContext"].update(
        resourcePath=resource, authorizer={"tokenId": "0123456789abcdef", "accessLevel": AccessLevel.REGISTRAR}
    )
    return asked


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
        swept = app.tend({}, context_)
        ended, processor_ended = time.perf_counter(), time.process_time()
    began, processor_began = traffic.first["UpdateItem"]
    if not swept["due"] == swept["rotated"] == len(ids):
        raise RuntimeError(f"not all phones were rotated: {swept}")
    return Sweep(
        swept["rotated"],
        ended - began,
        processor_ended - processor_began,
        traffic.requests(),
        sum(traffic.items),
        len(traffic.late),
    )
