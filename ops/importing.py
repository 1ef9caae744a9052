"""Brings phones into the table, from JSON Lines or a JSON array.

A phone that brings its username and password keeps them; otherwise a pair is generated. A phone that is in
the table already gets the record's other properties and keeps the pair in force.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from chalicelib import phone_writes
from chalicelib.credentials import Credentials, generate, new_id
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import Unavailable
from chalicelib.phone_properties import plain
from chalicelib.phone_writes import Change
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publication, Publisher
from chalicelib.services import Services
from ops.phone_records import BadRecord, Record

WORKERS = 16
_BATCH = 256
_ATTEMPTS = 3


class Outcome(StrEnum):
    """What became of a record."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the record on ``line``, and why if it did not go in."""

    line: int
    outcome: Outcome
    reason: str = ""
    pending: bool = False
    """The phone is in; its copy in Secrets Manager or its announcement follows later."""


def import_phones(services: Services, records: Iterable[Record | BadRecord], *, by: str) -> Iterator[Result]:
    """Imports ``records``, several at once, and yields what became of each, in their order."""
    records = iter(records)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="import") as workers:
        while batch := list(islice(records, _BATCH)):
            yield from workers.map(lambda record: _import_record(services, record, by), batch)


def _import_record(services: Services, record: Record | BadRecord, by: str) -> Result:
    if isinstance(record, BadRecord):
        return Result(record.line, Outcome.REFUSED, record.reason)
    try:
        outcome, publication = _import_phone(services, record.phone, by)
    except Unavailable:
        return Result(record.line, Outcome.FAILED, "DynamoDB did not answer; import the file again")
    except ConditionFailed:
        return Result(record.line, Outcome.FAILED, "the phone changed meanwhile; import the file again")
    return Result(record.line, outcome, pending=publication is not Publication.SETTLED)


def _import_phone(services: Services, phone: dict[str, Any], by: str) -> tuple[Outcome, Publication]:
    publisher = services.publisher
    brought = "username" in phone
    change = Change(
        credentials=Credentials(phone["username"], phone["password"]) if brought else generate(),
        changed_at=services.clock(),
        changed_by=by,
        changed_via="import",
    )
    try:
        added = phone_writes.adopt({name: value for name, value in phone.items() if value is not None}, change)
    except ConditionFailed:
        return _revise_phone(publisher, phone, change)
    return Outcome.ADDED, publisher.publish(added, change.credentials_id, is_new=True)


def _revise_phone(publisher: Publisher, phone: dict[str, Any], change: Change) -> tuple[Outcome, Publication]:
    token = new_id()
    for _ in range(_ATTEMPTS):
        present = SipPhones.find(phone["_id"])
        if present is None:
            break
        if token in (present.unsettled or ()):  # the answer to our write was lost
            return Outcome.CHANGED, publisher.publish(present, token)
        differences = _differences(phone, present)
        if not differences:
            return _complete(publisher, present, change)
        try:
            phone_writes.revise(present, differences, token=token, now=change.changed_at)
        except ConditionFailed:
            continue
        if differences.keys() & {"customer", "reseller"}:  # the mirror names the customer
            return Outcome.CHANGED, publisher.publish(present, token)
        return Outcome.CHANGED, publisher.settle(present, token, secret_arn=None)
    raise ConditionFailed


def _complete(publisher: Publisher, present: SipPhones, change: Change) -> tuple[Outcome, Publication]:
    ours = present.credentials_id == change.credentials_id  # the answer to our write was lost
    outcome = Outcome.ADDED if ours else Outcome.UNCHANGED
    if present.unsettled:  # what an interrupted import left to do
        return outcome, publisher.publish(present, present.credentials_id)
    return outcome, Publication.SETTLED


def _differences(record: dict[str, Any], phone: SipPhones) -> dict[str, Any]:
    """The properties that the record has otherwise; None for one to be cleared. Only a reset changes the pair."""
    properties = plain(phone)
    return {
        name: value
        for name, value in record.items()
        if name not in {"username", "password"} and properties.get(name) != value
    }
