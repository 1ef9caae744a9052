"""The registrar feed and the end of a grace period at work on one phone."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

import app
from chalicelib.access import AccessLevel
from chalicelib.announcements import Kind
from chalicelib.credentials import Algorithm, Credentials
from chalicelib.phones import SipPhones
from tests.faults.scenes import Sweeping, time_out
from tests.faults.spoilt_aws import Estate, present
from tests.support.api import Answer, ChaliceApi
from tests.support.fleet import admin, bearer, imported, reset_path, stored

GRACE = timedelta(days=1)


def _registrar() -> dict[str, str]:
    return bearer(AccessLevel.REGISTRAR)


@dataclass
class LookingUp:
    """A registrar that asks for the digests of ``pair``, which is valid."""

    estate: Estate
    phone_id: str
    pair: Credentials
    earlier: set[str]
    time_limit: float = time_out("api_handler")
    headers: dict[str, str] = field(default_factory=_registrar)

    def call(self) -> str:
        answer = ChaliceApi().request("GET", f"/registrar/digest/{self.pair.username}", self.headers)
        if answer.status == 200:
            expected = {algorithm: self.pair.ha1(algorithm, realm=answer.json["realm"]) for algorithm in Algorithm}
            assert answer.json["ha1"] == expected
        return str(answer.status)

    def confirm(self) -> None:
        assert self.call() == "200"


@dataclass
class Reporting:
    """A registrar that reports a registration with the pair in force, in a grace period."""

    estate: Estate
    before: SipPhones
    earlier: set[str]
    time_limit: float = time_out("api_handler")
    headers: dict[str, str] = field(default_factory=_registrar)

    @property
    def phone_id(self) -> str:
        return self.before.id

    def call(self) -> str:
        answer = self._report()
        if answer.status != 200:
            return str(answer.status)
        assert answer.json["adopted"]
        assert self._is_adopted()
        return "200 adopted"

    def confirm(self) -> None:
        assert self.call() == "200 adopted"
        assert self.estate.hears_of(present(self.estate.phone(self.phone_id)), Kind.ADOPTED)

    def _report(self) -> Answer:
        body = json.dumps({"username": self.before.username}).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        return ChaliceApi().request("POST", "/registrar/registered", headers, body)

    def _is_adopted(self) -> bool:
        phone = present(self.estate.phone(self.phone_id))
        assert phone.credentials_id == self.before.credentials_id
        return phone.adopted_at is not None and phone.previous_password is None


@dataclass
class EndingGrace(Sweeping):
    """A sweep that finds a grace period over of which nobody has seen the proof."""

    def confirm(self) -> None:
        super().confirm()
        phone = present(self.estate.phone(self.phone_id))
        assert phone.previous_password is None
        assert self.estate.hears_of(phone, Kind.GRACE_ENDED)


def lookup(estate: Estate) -> LookingUp:
    """A lookup of the pair in force."""
    phone = imported()
    return LookingUp(estate, phone.id, Credentials(phone.username, phone.password), {phone.credentials_id})


def lookup_in_grace(estate: Estate) -> LookingUp:
    """A lookup of an old pair that is still valid."""
    scene = lookup(estate)
    _reset_with_grace(scene.phone_id)
    return scene


def report(estate: Estate) -> Reporting:
    """The report which proves that a phone has moved."""
    before = imported()
    return Reporting(estate, _reset_with_grace(before.id), {before.credentials_id})


def end_of_grace(estate: Estate) -> EndingGrace:
    """A phone whose grace period is over."""
    before = imported()
    phone = _reset_with_grace(before.id)
    over = app.services().clock() - timedelta(minutes=1)
    phone.update(actions=[SipPhones.previous_valid_until.set(over), SipPhones.tend_at.set(over)])
    return EndingGrace(estate, phone, {before.credentials_id})


def _reset_with_grace(phone_id: str) -> SipPhones:
    seconds = int(GRACE.total_seconds())
    answer = ChaliceApi().request("POST", f"{reset_path(phone_id)}?grace={seconds}", admin())
    assert answer.status == 200
    return stored(phone_id)
