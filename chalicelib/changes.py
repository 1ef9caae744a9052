"""A change of a phone's pair: what is to be in force, and why."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from chalicelib import idempotency
from chalicelib.credentials import Credentials, new_id
from chalicelib.phones import SipPhones


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a phone's pair. Made once per request, so that every attempt writes the same values."""

    credentials: Credentials
    changed_at: datetime
    changed_by: str
    changed_via: str
    reason: str | None = None
    request_key: str | None = None
    grace: timedelta = timedelta(0)
    """How long the pair that it replaces stays valid."""
    credentials_id: str = field(default_factory=new_id)

    @property
    def request_digest(self) -> str:
        """What the request is remembered by: the digest of its idempotency key, or else the id of its pair."""
        if self.request_key is None:
            return self.credentials_id
        return idempotency.digest(self.request_key, purpose="reset")


@dataclass(frozen=True, slots=True)
class Due:
    """That a phone is to be rotated because its date ``at`` has come, where the fleet's period is given."""

    at: datetime
    fleet_days: int

    def condition(self) -> Condition:
        """The phone still has that date, is settled and in no grace period, and may be rotated by schedule."""
        for_that_reason = SipPhones.planned_rotation.exists()
        if self.fleet_days:
            for_that_reason |= Path(SipPhones.status.config_loaded).exists()
        may_rotate = (SipPhones.rotation_days > 0) | (SipPhones.rotation_days.does_not_exist() & for_that_reason)
        nobody_at_work = SipPhones.unsettled.does_not_exist() & SipPhones.previous_valid_until.does_not_exist()
        return cast(Condition, (SipPhones.tend_at == self.at) & nobody_at_work & may_rotate)
