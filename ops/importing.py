"""Brings phones into the table, from JSON Lines or a JSON array.

A phone that brings its username and password keeps them; otherwise a pair is generated. A phone that is in
the table already gets the record's other properties and keeps the pair in force.

Secrets Manager bounds the speed: what is written there is paced. What an import that was interrupted left undone,
the same file completes when it is imported again, or a sweep.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chalicelib import phone_writes
from chalicelib.changes import Change
from chalicelib.credentials import Credentials, generate, new_id
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import Unavailable
from chalicelib.pacing import Pace
from chalicelib.phone_properties import plain
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publication
from chalicelib.services import Services
from ops.phone_records import BadRecord, Record
from ops.workers import in_order

SECRETS_PER_SECOND = 50
"""What Secrets Manager takes: 50 secrets a second may be created in a region, and as many written.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
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


def import_phones(
    services: Services, records: Iterable[Record | BadRecord], *, by: str, rate: float = SECRETS_PER_SECOND
) -> Generator[Result]:
    """Imports ``records``, several at once, and yields what became of each, in their order.

    At most ``rate`` secrets are written in a second.
    """
    return in_order(_Importing(services, by, Pace(rate)).record, records)


@dataclass(frozen=True, slots=True)
class _Importing:
    """An import that is under way."""

    services: Services
    by: str
    pace: Pace

    def record(self, record: Record | BadRecord) -> Result:
        if isinstance(record, BadRecord):
            return Result(record.line, Outcome.REFUSED, record.reason)
        try:
            outcome, publication = self._phone(record.phone)
        except Unavailable:
            return Result(record.line, Outcome.FAILED, "DynamoDB did not answer; import the file again")
        except ConditionFailed:
            return Result(record.line, Outcome.FAILED, "the phone changed meanwhile; import the file again")
        return Result(record.line, outcome, pending=publication is not Publication.SETTLED)

    def _phone(self, phone: dict[str, Any]) -> tuple[Outcome, Publication]:
        brought = "username" in phone
        change = Change(
            credentials=Credentials(phone["username"], phone["password"]) if brought else generate(),
            changed_at=self.services.clock(),
            changed_by=self.by,
            changed_via="import",
        )
        document = {name: value for name, value in phone.items() if value is not None}
        try:
            added = phone_writes.adopt(document, change)
        except ConditionFailed:
            return self._revise(phone, change)
        return Outcome.ADDED, self._publish(added, change.credentials_id, is_new=True)

    def _revise(self, phone: dict[str, Any], change: Change) -> tuple[Outcome, Publication]:
        token = new_id()
        for _ in range(_ATTEMPTS):
            present = SipPhones.find(phone["_id"])
            if present is None:
                break
            if token in (present.unsettled or ()):  # the answer to our write was lost
                return Outcome.CHANGED, self._publish(present, token)
            differences = _differences(phone, present)
            if not differences:
                return self._complete(present, change)
            try:
                phone_writes.revise(present, differences, token=token, now=change.changed_at)
            except ConditionFailed:
                continue
            if differences.keys() & {"customer", "reseller"}:  # the mirror names the customer
                return Outcome.CHANGED, self._publish(present, token)
            return Outcome.CHANGED, self.services.publisher.settle(present, token, secret_arn=None)
        raise ConditionFailed

    def _complete(self, present: SipPhones, change: Change) -> tuple[Outcome, Publication]:
        ours = present.credentials_id == change.credentials_id  # the answer to our write was lost
        outcome = Outcome.ADDED if ours else Outcome.UNCHANGED
        if present.unsettled:  # what an interrupted import left to do
            return outcome, self._publish(present, present.credentials_id)
        return outcome, Publication.SETTLED

    def _publish(self, phone: SipPhones, token: str, *, is_new: bool = False) -> Publication:
        self.pace.wait()
        return self.services.publisher.publish(phone, token, is_new=is_new)


def _differences(record: dict[str, Any], phone: SipPhones) -> dict[str, Any]:
    """The properties that the record has otherwise; None for one to be cleared. Only a reset changes the pair."""
    properties = plain(phone)
    return {
        name: value
        for name, value in record.items()
        if name not in {"username", "password"} and properties.get(name) != value
    }
