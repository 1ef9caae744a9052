"""Entry points at work on one phone: how each is called, what its caller sees, and what it may not say."""

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Protocol

import app
from chalicelib import phone_writes
from chalicelib.access import AccessLevel
from chalicelib.changes import Change
from chalicelib.credentials import generate
from chalicelib.dynamodb import RequestRefused
from chalicelib.errors import ServiceError
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from chalicelib.tokens import revoke
from ops.gateway import PROJECT
from ops.importing import import_phones
from ops.phone_records import Record
from tests.faults.spoilt_aws import Estate, present
from tests.support.api import Answer, ChaliceApi
from tests.support.fleet import admin, bearer, imported, new_owner, new_phone_id, pair_of, reset_path

_FUNCTIONS = json.loads((PROJECT / ".chalice" / "config.json").read_text())["stages"]["prod"]["lambda_functions"]


def time_out(function: str) -> float:
    """The time-out of a Lambda function, in seconds."""
    return float(_FUNCTIONS[function]["lambda_timeout"])


class Scene(Protocol):
    """An entry point, the phone that it is called for, and the ids of the pairs that the phone had before."""

    @property
    def phone_id(self) -> str: ...

    @property
    def earlier(self) -> set[str]: ...

    @property
    def time_limit(self) -> float:
        """Seconds that a call may take."""
        ...

    def call(self) -> str:
        """Calls the entry point and answers with what its caller sees. An answer that is a lie fails."""
        ...

    def confirm(self) -> None:
        """Calls it again when all is well: what was done is still there, and is not done twice."""
        ...


@dataclass
class Resetting:
    """A reset over HTTP. ``status`` is its answer when all is well."""

    estate: Estate
    before: SipPhones
    headers: dict[str, str]
    status: int = 200
    time_limit: float = time_out("api_handler")

    @property
    def phone_id(self) -> str:
        return self.before.id

    @property
    def earlier(self) -> set[str]:
        return {self.before.credentials_id}

    def call(self) -> str:
        answer = self._request()
        if answer.status != 200:
            assert answer.json["code"] == answer.status
            return str(answer.status)
        replayed = ", replayed" if "idempotent-replayed" in answer.headers else ""
        return f"200 {answer.headers['credentials-mirror']}{replayed}"

    def confirm(self) -> None:
        found = self._stored_pair()
        done = found != pair_of(self.before)
        answer = self._request()
        assert answer.status == self.status
        assert ("idempotent-replayed" in answer.headers) == done
        if done or self.status != 200:
            assert self._stored_pair() == found

    def _request(self) -> Answer:
        answer = ChaliceApi().request("POST", reset_path(self.phone_id), self.headers)
        if answer.status == 200:
            pair = answer.json["username"], answer.json["password"]
            assert pair == self._stored_pair() != pair_of(self.before)
        return answer

    def _stored_pair(self) -> tuple[str, str]:
        return pair_of(present(self.estate.phone(self.phone_id)))


@dataclass
class Importing:
    """An import of one record, with a pair of its own."""

    estate: Estate
    record: dict[str, Any]
    time_limit: float = PUBLISHER_LIFE.total_seconds()

    @property
    def phone_id(self) -> str:
        return str(self.record["_id"])

    @property
    def earlier(self) -> set[str]:
        return set()

    def call(self) -> str:
        try:
            (result,) = import_phones(app.services(), [Record(1, self.record)], by="test")
        except RequestRefused:
            return "refused"
        assert result.reason or self._is_in()
        return f"{result.outcome}{', pending' if result.pending else ''}"

    def confirm(self) -> None:
        done = self._is_in()
        assert self.call() in ({"unchanged"} if done else {"added", "changed"})

    def _is_in(self) -> bool:
        phone = self.estate.phone(self.phone_id)
        return phone is not None and self.record.items() <= phone.document().items()


@dataclass
class Sweeping:
    """A sweep that finds one phone due, whether to be ``rotated`` or for something else."""

    estate: Estate
    before: SipPhones
    earlier: set[str]
    rotated: bool = False
    time_limit: float = time_out("tend")

    @property
    def phone_id(self) -> str:
        return self.before.id

    def call(self) -> str:
        end = time.monotonic() + self.time_limit
        context = SimpleNamespace(
            aws_request_id="sweep", get_remaining_time_in_millis=lambda: (end - time.monotonic()) * 1000
        )
        try:
            counts = app.tend({}, context)
        except ServiceError as error:
            return type(error).__name__
        assert counts["due"] <= 1
        assert not counts["rotated"] or self._is_rotated()
        assert not counts["completed"] or not self._stored().unsettled
        done = [name for name in ("rotated", "completed", "graceEnded", "failed", "left") if counts[name]]
        return (done or ["nothing" if counts["due"] else "idle"])[0]

    def confirm(self) -> None:
        assert self._is_rotated() == self.rotated
        found = self._stored().credentials_id
        assert self.call() == "idle"
        assert self._stored().credentials_id == found

    def _is_rotated(self) -> bool:
        return pair_of(self._stored()) != pair_of(self.before)

    def _stored(self) -> SipPhones:
        return present(self.estate.phone(self.phone_id))


def reset(estate: Estate) -> Resetting:
    """A reset of a phone in its usual state."""
    return Resetting(estate, imported(), {**admin(), "Idempotency-Key": "k"})


def replay(estate: Estate) -> Resetting:
    """A reset whose key the phone remembers."""
    scene = reset(estate)
    assert scene.call() == "200 current"
    return scene


def foreign_reset(estate: Estate) -> Resetting:
    """A reset of somebody else's phone."""
    return Resetting(estate, imported(), bearer(AccessLevel.OWNER, customer=new_owner()), status=404)


def reset_without_memory(estate: Estate) -> Resetting:
    """A reset of a phone that was not made by our import, and so has nowhere to keep a key."""
    scene = reset(estate)
    scene.before.update(actions=[SipPhones.recent_requests.remove()])
    return scene


def reset_without_secret(estate: Estate, **deletion: Any) -> Resetting:
    """A reset of a phone whose secret was deleted, for good or not."""
    scene = reset(estate)
    estate.secrets.delete_secret(SecretId=f"sip-phones/{scene.phone_id}", **deletion)
    return scene


def authorization(estate: Estate, *, revoked: bool = False) -> Resetting:
    """A reset of which the authorizer's part counts."""
    scene = reset(estate)
    scene.time_limit = time_out("api_token")
    if revoked:
        scene.status = 401
        revoke(scene.headers["Authorization"].split("_")[1], now=app.services().clock())
    return scene


def addition(estate: Estate) -> Importing:
    """An import of a new phone."""
    pair = generate()
    phone = {"_id": new_phone_id(), "customer": new_owner()}
    return Importing(estate, {**phone, "username": pair.username, "password": pair.password})


def revision(estate: Estate, **properties: str) -> Importing:
    """An import of a phone that is in the table with other properties."""
    scene = addition(estate)
    assert scene.call() == "added"
    return Importing(estate, scene.record | properties)


def rotation(estate: Estate) -> Sweeping:
    """A phone whose period is over."""
    return _due(estate, imported(rotationDays=30), rotated=True)


def groundless_date(estate: Estate) -> Sweeping:
    """A phone with a date that no rule supports any more."""
    return _due(estate, imported(), rotated=False)


def abandoned_publication(estate: Estate, *, resets: int = 1) -> Sweeping:
    """A phone whose publishers are dead: so many resets of it ended right after their commit, long enough ago."""
    phone = imported()
    known = {phone.credentials_id}
    then = app.services().clock() - PUBLISHER_LIFE - timedelta(minutes=1)
    for _ in range(resets):
        change = Change(generate(), changed_at=then, changed_by="test", changed_via="http")
        phone = phone_writes.commit(phone.id, change)
    return Sweeping(estate, phone, known)


def _due(estate: Estate, phone: SipPhones, *, rotated: bool) -> Sweeping:
    phone_writes.reschedule(phone, due=app.services().clock() - timedelta(minutes=1))
    return Sweeping(estate, phone, {phone.credentials_id}, rotated)
