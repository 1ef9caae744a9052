"""Compares the table with Secrets Manager, phone by phone, and mends the differences.

A difference counts once it is seen twice: between the look at the table and the one at the secret the phone may
have been reset. What it has compared, a verification writes into a file, from which another one goes on.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from chalicelib import phone_writes
from chalicelib.credentials import new_id
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import Unavailable
from chalicelib.mirror import Mirror
from chalicelib.pacing import Pace
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publication, copy_of
from chalicelib.services import Services
from ops.fleet import SEGMENTS, Fleet, Page
from ops.workers import in_order

SECRETS_A_REQUEST = 20
REQUESTS_A_SECOND = 100
"""What Secrets Manager takes of BatchGetSecretValue in a region.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
REPAIRS_A_SECOND = 40
"""Leaves a fifth of what may be written to the resets that come meanwhile."""
REPAIRED = "repaired"
NEEDED = frozenset({
    "_id", "customer", "username", "password", "credentialsId", "credentialsChangedAt", "unsettled", "tendAt",
})  # fmt: skip


class Finding(StrEnum):
    """What is wrong with a phone's copy."""

    MISSING = "missing"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    """Secrets Manager refuses to show it."""
    PENDING = "pending"
    """The phone's credentials changed a moment ago: the copy follows by itself."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A phone whose copy is not what the table says. Holds no secret."""

    phone_id: str
    finding: Finding
    detail: str = ""
    """Which properties differ, or the code of AWS's refusal."""
    repaired: bool = False

    def record(self) -> dict[str, Any]:
        """The difference as it is printed."""
        return {
            "sipPhoneId": self.phone_id,
            "finding": self.finding.value,
            "detail": self.detail,
            "repaired": self.repaired,
        }


@dataclass(slots=True)
class Progress:
    """How far a verification is."""

    phones: int = 0
    requests: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    """How many of each, and how many of all were `REPAIRED`."""
    starts: dict[int, str | None] = field(default_factory=lambda: dict.fromkeys(range(SEGMENTS)))
    """The segments that are not complete, each with the last phone that was compared."""

    @property
    def complete(self) -> bool:
        """Whether all phones were compared."""
        return not self.starts

    def count(self, batch: "Batch") -> None:
        """Counts a batch that is done with."""
        self.phones += len(batch.phones)
        self.requests += batch.requests
        self.findings.update(each.finding.value for each in batch.differences)
        self.findings[REPAIRED] += sum(each.repaired for each in batch.differences)
        if batch.ends_segment:
            del self.starts[batch.segment]
        else:
            self.starts[batch.segment] = batch.phones[-1].id

    def save(self, file: Path) -> None:
        """Writes it down, all at once. It has ids of phones, and no secret."""
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(
            json.dumps(
                {
                    "phones": self.phones,
                    "requests": self.requests,
                    "findings": self.findings,
                    "starts": self.starts,
                }
            )
        )
        draft.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Progress":
        """What :meth:`save` wrote. Raises ``FileNotFoundError``; ``ValueError`` for anything else."""
        text = file.read_text()
        try:
            saved = json.loads(text)
            starts = {int(segment): last_id for segment, last_id in saved["starts"].items()}
            return cls(saved["phones"], saved["requests"], Counter(saved["findings"]), starts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} is not the file of a verification") from error


@dataclass(slots=True)
class Batch:
    """Phones of a segment that one request asks for, and what came of it."""

    segment: int
    phones: list[SipPhones]
    ends_segment: bool
    requests: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison, with what it works on."""

    services: Services
    fleet: Fleet
    secrets: Any
    """A client of Secrets Manager."""
    repair: bool = False

    def run(self, progress: Progress) -> Generator[Batch]:
        """Compares what ``progress`` has not had yet, and yields batch by batch what came of it.

        A batch counts in ``progress`` when the next one is asked for: whoever stops before that, and goes on
        later, has it again.
        """
        asking, writing = Pace(REQUESTS_A_SECOND), Pace(REPAIRS_A_SECOND)
        pages = self.fleet.pages(NEEDED, starts=progress.starts)
        work = partial(self._compare, asking=asking, writing=writing)
        with closing(in_order(work, _batches(pages))) as batches:
            for batch in batches:
                yield batch
                progress.count(batch)

    def _compare(self, batch: Batch, *, asking: Pace, writing: Pace) -> Batch:
        if not batch.phones:
            return batch
        asking.wait()
        batch.requests += 1
        present = copies(self.secrets, self.services.publisher.mirror, [phone.id for phone in batch.phones])
        for phone in batch.phones:
            if difference(phone, present[phone.id]) is not None:
                self._examine(phone.id, batch, asking, writing)
        return batch

    def _examine(self, phone_id: str, batch: Batch, asking: Pace, writing: Pace) -> None:
        """Looks twice more at a phone that seemed to differ, now at nothing else."""
        if self._look(phone_id, batch, asking) is None or (seen := self._look(phone_id, batch, asking)) is None:
            return
        phone, (finding, detail) = seen
        if phone.unsettled and phone.tend_at > self.services.clock():
            finding = Finding.PENDING
        repaired = False
        if self.repair and finding is not Finding.PENDING:
            writing.wait()
            repaired = self._mend(phone)
        batch.differences.append(Difference(phone_id, finding, detail, repaired))

    def _look(self, phone_id: str, batch: Batch, asking: Pace) -> tuple[SipPhones, tuple[Finding, str]] | None:
        """The phone and how its copy differs; None when it does not, or the phone is gone."""
        asking.wait()
        batch.requests += 1
        copy = copies(self.secrets, self.services.publisher.mirror, [phone_id])[phone_id]
        phone = SipPhones.find(phone_id)
        found = None if phone is None else difference(phone, copy)
        return None if phone is None or found is None else (phone, found)

    def _mend(self, phone: SipPhones) -> bool:
        """Publishes the pair in force again, as a sweep would; whether that was complete."""
        publisher = self.services.publisher
        try:
            if phone.unsettled:
                return publisher.complete(phone) is Publication.SETTLED
            token = new_id()
            phone_writes.revise(phone, {}, token=token, now=self.services.clock())
            return publisher.publish(phone, token) is Publication.SETTLED
        except (ConditionFailed, Unavailable):
            return False


def copies(secrets: Any, mirror: Mirror, phone_ids: Collection[str]) -> dict[str, dict[str, Any] | str]:
    """The current copy of each phone's pair, or the code of AWS's refusal in its place; at most 20 phones.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
    """
    names = {mirror.secret_name(phone_id): phone_id for phone_id in phone_ids}
    answer = secrets.batch_get_secret_value(SecretIdList=list(names))
    found: dict[str, dict[str, Any] | str] = dict.fromkeys(phone_ids, _NOT_FOUND)
    for error in answer.get("Errors", []):
        if error["SecretId"] in names:
            found[names[error["SecretId"]]] = error["ErrorCode"]
    for value in answer["SecretValues"]:
        found[names[value["Name"]]] = _parsed(value.get("SecretString", ""))
    return found


def difference(phone: SipPhones, copy: dict[str, Any] | str) -> tuple[Finding, str] | None:
    """How ``copy`` differs from the phone, without any value; None when it does not."""
    if not phone.has_pair:
        return None
    if isinstance(copy, str):
        return (Finding.MISSING, "") if copy in _GONE else (Finding.UNREADABLE, copy)
    expected = json.loads(copy_of(phone).text())
    differing = sorted(name for name, value in expected.items() if copy.get(name, _ABSENT) != value)
    if copy.keys() - expected.keys():  # somebody else's, and who knows what is in their names
        differing.append("other properties")
    return (Finding.DIFFERS, ", ".join(differing)) if differing else None


def _batches(pages: Iterator[Page]) -> Iterator[Batch]:
    """The phones of each segment in full batches, whatever its pages hold, and a last one that may be empty."""
    waiting: defaultdict[int, list[SipPhones]] = defaultdict(list)
    for page in pages:
        phones = waiting[page.segment]
        phones += page.phones
        while len(phones) >= SECRETS_A_REQUEST:
            yield Batch(page.segment, phones[:SECRETS_A_REQUEST], ends_segment=False)
            del phones[:SECRETS_A_REQUEST]
        if page.last_id is None:
            yield Batch(page.segment, phones, ends_segment=True)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


_ABSENT = object()
_NOT_FOUND = "ResourceNotFoundException"
_GONE = (_NOT_FOUND, "InvalidRequestException")  # the second one is marked for deletion
