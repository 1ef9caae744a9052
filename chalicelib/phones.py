"""The phones: their table, and every write to it as a conditional one.

`docs/data-schema.md` describes the properties; `docs/openapi.yaml` has the rule for each value.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self
from zlib import crc32

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from chalicelib.access import Scope
from chalicelib.credentials import Credentials, new_id
from chalicelib.dynamodb import ConditionFailed, Connection, translated_errors
from chalicelib.errors import NotFound
from chalicelib.phone_properties import Codec, IpRestriction, Network, Ringer, Softkey, Status, Volume, plain
from chalicelib.rotation import period

PUBLISHER_LIFE = timedelta(minutes=2)
"""Longer than any publisher can live: the SDK's timeouts and the function's timeout end it well before."""

SHARDS = 16
REQUESTS_LIVE = timedelta(hours=24)
REQUESTS_KEPT = 24


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a phone's pair. Made once per request, so that every attempt writes the same values."""

    credentials: Credentials
    changed_at: datetime
    changed_by: str
    changed_via: str
    request_key: str | None = None
    credentials_id: str = field(default_factory=new_id)

    @property
    def request_digest(self) -> str | None:
        """What is stored of the request's idempotency key: 128 bits of its SHA-256."""
        if self.request_key is None:
            return None
        return hashlib.sha256(self.request_key.encode()).hexdigest()[:32]


class Agenda(GlobalSecondaryIndex["SipPhones"]):
    """The work list: phones by the moment they next need attention. Phones that need none are not in it."""

    class Meta:
        index_name = "agenda"
        projection = KeysOnlyProjection()

    tend_shard = NumberAttribute(attr_name="tendShard", hash_key=True)
    tend_at = TTLAttribute(attr_name="tendAt", range_key=True)


class ByCustomer(GlobalSecondaryIndex["SipPhones"]):
    """A customer's phones."""

    class Meta:
        index_name = "by-customer"
        projection = KeysOnlyProjection()

    customer = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(attr_name="_id", range_key=True)


class SipPhones(Model):
    """A phone: the properties of the platform's API, then our own."""

    class Meta(Connection):
        table_name = "SipPhones"

    id = UnicodeAttribute(attr_name="_id", hash_key=True)
    pbx_cluster = NumberAttribute(attr_name="pbxCluster", null=True)
    sip_phone_model = UnicodeAttribute(attr_name="sipPhoneModel", null=True)
    extension = UnicodeAttribute(null=True)
    customer = UnicodeAttribute(null=True)
    mac_address = UnicodeAttribute(attr_name="macAddress", null=True)
    handset_index = NumberAttribute(attr_name="handsetIndex", null=True)
    handset_address = UnicodeAttribute(attr_name="handsetAddress", null=True)
    call_waiting = BooleanAttribute(attr_name="callWaiting", null=True)
    notes = UnicodeAttribute(null=True)
    ip = IpRestriction(null=True)
    username = UnicodeAttribute(null=True)
    password = UnicodeAttribute(null=True)
    ringer = Ringer(null=True)
    volume = Volume(null=True)
    softkeys = ListAttribute(of=Softkey, null=True)
    codec = Codec(null=True)
    network = Network(null=True)
    status = Status(null=True)

    reseller = UnicodeAttribute(null=True)
    rotation_days = NumberAttribute(attr_name="rotationDays", null=True)
    credentials_id = UnicodeAttribute(attr_name="credentialsId", null=True)
    credentials_changed_at = UTCDateTimeAttribute(attr_name="credentialsChangedAt", null=True)
    changed_by = UnicodeAttribute(attr_name="changedBy", null=True)
    changed_via = UnicodeAttribute(attr_name="changedVia", null=True)
    recent_requests: MapAttribute[str, Any] = MapAttribute(attr_name="recentRequests", null=True)
    unsettled = UnicodeSetAttribute(null=True)
    tend_shard = NumberAttribute(attr_name="tendShard", null=True)
    tend_at = TTLAttribute(attr_name="tendAt", null=True)

    agenda = Agenda()
    by_customer = ByCustomer()

    def __repr__(self) -> str:
        return f"SipPhones({self.id})"

    def document(self) -> dict[str, Any]:
        """The phone as the API answers it, credentials included; properties without a value are left out."""
        return {name: value for name, value in plain(self).items() if name in DOCUMENT}

    @classmethod
    def find(cls, phone_id: str) -> Self | None:
        """The phone ``phone_id`` as it is now (a consistent read), or None."""
        with translated_errors():
            try:
                return cls.get(phone_id, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def commit(cls, phone_id: str, change: Change, scope: Scope) -> Self:
        """Puts the pair of ``change`` in force and answers with the phone as it is then.

        Raises :class:`~chalicelib.dynamodb.ConditionFailed` when the phone does not exist, is out of scope,
        was already given this pair by an earlier attempt of the same request, or remembers the request's
        idempotency key; :class:`~chalicelib.errors.Unavailable` when nobody knows whether it happened.
        """
        exists = cls.id.exists()
        # An attempt whose answer was lost has left the pair's id here: repeating it must not undo a reset
        # that came between.
        first_attempt = ~cls.unsettled.contains(change.credentials_id)
        condition = exists & first_attempt
        if (in_scope := scope.condition()) is not None:
            condition &= in_scope
        actions: list[Action] = [
            cls.username.set(change.credentials.username),
            cls.password.set(change.credentials.password),
            cls.credentials_id.set(change.credentials_id),
            cls.credentials_changed_at.set(change.changed_at),
            cls.changed_by.set(change.changed_by),
            cls.changed_via.set(change.changed_via),
            cls.unsettled.add({change.credentials_id}),
            cls.tend_shard.set(shard_of(phone_id)),
            cls.tend_at.set(change.changed_at + PUBLISHER_LIFE),
        ]
        if (digest := change.request_digest) is not None:
            remembered = cls.recent_requests[digest]
            unknown_key = remembered.does_not_exist() | (
                remembered["at"] < _milliseconds(change.changed_at - REQUESTS_LIVE)
            )
            # A path can only be set inside a map that exists.
            condition &= cls.recent_requests.exists() & unknown_key
            actions.append(
                remembered.set({"id": change.credentials_id, "at": _milliseconds(change.changed_at)})
            )
        phone = cls(phone_id)
        with translated_errors():
            phone.update(actions=actions, condition=condition)
        return phone

    def settle(self, token: str, *, next_rotation: datetime | None, now: datetime) -> bool:
        """Records that the publication ``token`` is complete, and when the phone is next due (None: never).

        False when another publication may still be under way, or another pair is in force: then what is left
        to do stays on the agenda. Forgets the idempotency keys that are too old or too many. Raises
        :class:`~chalicelib.errors.Unavailable`.
        """
        ours = {token}
        if self.unsettled != ours:
            return False
        cls = type(self)
        actions: list[Action] = [
            cls.unsettled.delete(ours),
            cls.tend_at.set(next_rotation) if next_rotation else cls.tend_at.remove(),
            *(cls.recent_requests[digest].remove() for digest in self._forgettable_requests(now)),
        ]
        try:
            with translated_errors():
                self.update(
                    actions=actions,
                    condition=(cls.credentials_id == self.credentials_id) & (cls.unsettled == ours),
                )
        except ConditionFailed:
            return False
        return True

    @classmethod
    def adopt(cls, document: Mapping[str, Any], change: Change) -> Self:
        """Adds the phone of ``document`` with the pair of ``change`` in force.

        ``document`` has the phone's properties under their own names, as `docs/openapi.yaml` has them.
        Raises :class:`~chalicelib.dynamodb.ConditionFailed` when the phone is in the table already;
        :class:`~chalicelib.errors.Unavailable`.
        """
        phone = cls()
        phone.from_simple_dict(dict(document))
        phone.username = change.credentials.username
        phone.password = change.credentials.password
        phone.credentials_id = change.credentials_id
        phone.credentials_changed_at = change.changed_at
        phone.changed_by = change.changed_by
        phone.changed_via = change.changed_via
        phone.recent_requests = {}
        phone.unsettled = {change.credentials_id}
        phone.tend_shard = shard_of(phone.id)
        phone.tend_at = change.changed_at + PUBLISHER_LIFE
        with translated_errors():
            phone.save(condition=cls.id.does_not_exist())
        return phone

    def differences(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The properties of ``document`` that the phone has otherwise; None for one to be cleared.

        Credentials are not compared: only a reset changes them.
        """
        own = self.to_simple_dict(force=True)
        return {
            name: value
            for name, value in document.items()
            if name not in {"username", "password"} and own.get(name) != value
        }

    def revise(self, properties: Mapping[str, Any], *, token: str, now: datetime) -> None:
        """Sets properties of the phone, or clears those that are None, and lists ``token`` as unsettled.

        What the properties change elsewhere, such as the owner in the mirror and the due date, is complete
        when ``token`` is settled. Raises :class:`~chalicelib.dynamodb.ConditionFailed` when the phone is
        gone; :class:`~chalicelib.errors.Unavailable`.
        """
        cls = type(self)
        revised = cls()
        revised.from_simple_dict({name: value for name, value in properties.items() if value is not None})
        actions: list[Action] = [cls.unsettled.add({token}), cls.tend_at.set(now + PUBLISHER_LIFE)]
        for name in properties:
            attribute_name = cls._dynamo_to_python_attr(name)
            attribute, value = getattr(cls, attribute_name), getattr(revised, attribute_name)
            actions.append(attribute.remove() if value is None else attribute.set(value))
        with translated_errors():
            self.update(actions=actions, condition=cls.id.exists())

    @classmethod
    def remember_requests(cls, phone_id: str) -> None:
        """Gives a phone that was not made by our import the empty map in which a commit records its key."""
        empty: dict[str, Any] = {}
        with translated_errors(), suppress(ConditionFailed):
            cls(phone_id).update(
                actions=[cls.recent_requests.set(empty)],
                condition=cls.id.exists() & cls.recent_requests.does_not_exist(),
            )

    def answer_to(self, change: Change) -> str | None:
        """The id of the pair that an earlier attempt or request answered ``change`` with, if any did.

        An earlier attempt of the same request shows by the pair's own id, an earlier request by its
        idempotency key, for 24 hours.
        """
        if change.credentials_id == self.credentials_id or change.credentials_id in (self.unsettled or ()):
            return change.credentials_id
        remembered = self._requests().get(change.request_digest or "")
        if remembered is None or remembered["at"] < _milliseconds(change.changed_at - REQUESTS_LIVE):
            return None
        return str(remembered["id"])

    def rotation_period(self, fleet_days: int) -> int:
        """The phone's rotation period in days, 0 for never, where the fleet's is ``fleet_days``."""
        return period(
            own_days=None if self.rotation_days is None else int(self.rotation_days),
            fleet_days=fleet_days,
            has_fetched_configuration=self.status is not None and self.status.config_loaded is not None,
        )

    def _requests(self) -> dict[str, Any]:
        return dict(self.recent_requests.as_dict()) if self.recent_requests else {}

    def _forgettable_requests(self, now: datetime) -> list[str]:
        newest_first = sorted(self._requests().items(), key=lambda entry: -entry[1]["at"])
        oldest = _milliseconds(now - REQUESTS_LIVE)
        return [
            digest
            for place, (digest, remembered) in enumerate(newest_first)
            if place >= REQUESTS_KEPT or remembered["at"] < oldest
        ]


DOCUMENT = frozenset({
    "_id", "pbxCluster", "sipPhoneModel", "extension", "customer", "macAddress", "handsetIndex",
    "handsetAddress", "callWaiting", "notes", "ip", "username", "password", "ringer", "volume", "softkeys",
    "codec", "network", "status",
})  # fmt: skip
"""The properties of the phone that the API shows."""


def canonical_id(text: str) -> str:
    """A phone's id in the form that the table has: 24 hex digits, upper case.

    Raises :class:`~chalicelib.errors.NotFound` for any other text: no phone has such an id.
    """
    if not _ID.fullmatch(text):
        raise NotFound
    return text.upper()


def shard_of(phone_id: str) -> int:
    """The shard of the agenda that a phone is in."""
    return crc32(phone_id.encode()) % SHARDS


_ID = re.compile(r"[0-9A-Fa-f]{24}")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
