"""The phones: their table and what can be read from it. `phone_writes` has the writes.

`docs/data-schema.md` describes the properties; `docs/openapi.yaml` has the rule for each value.
"""

import re
from datetime import datetime
from typing import Any, Self
from zlib import crc32

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from chalicelib.access import Tenancy
from chalicelib.clock import timestamp
from chalicelib.dynamodb import Connection, EpochSeconds, PlainMap, translated_errors
from chalicelib.errors import NotFound
from chalicelib.phone_properties import Codec, IpRestriction, Network, Ringer, Softkey, Status, Volume, plain
from chalicelib.rotation import next_rotation, period
from chalicelib.telemetry import logger

SHARDS = 16


class Agenda(GlobalSecondaryIndex["SipPhones"]):
    """The work list: phones by the moment they next need attention. Phones that need none are not in it."""

    class Meta:
        index_name = "agenda"
        projection = KeysOnlyProjection()

    tend_shard = NumberAttribute(attr_name="tendShard", hash_key=True)
    tend_at = EpochSeconds(attr_name="tendAt", range_key=True)


class ByCustomer(GlobalSecondaryIndex["SipPhones"]):
    """A customer's phones."""

    class Meta:
        index_name = "by-customer"
        projection = KeysOnlyProjection()

    customer = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(attr_name="_id", range_key=True)


class ByUsername(GlobalSecondaryIndex["SipPhones"]):
    """Phones by the username in force."""

    class Meta:
        index_name = "by-username"
        projection = KeysOnlyProjection()

    username = UnicodeAttribute(hash_key=True)


class ByPreviousUsername(GlobalSecondaryIndex["SipPhones"]):
    """Phones by the username that was in force before."""

    class Meta:
        index_name = "by-previous-username"
        projection = KeysOnlyProjection()

    previous_username = UnicodeAttribute(attr_name="previousUsername", hash_key=True)


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
    realm = UnicodeAttribute(null=True)
    domain = UnicodeAttribute(null=True)
    credentials_id = UnicodeAttribute(attr_name="credentialsId", null=True)
    credentials_changed_at = UTCDateTimeAttribute(attr_name="credentialsChangedAt", null=True)
    changed_by = UnicodeAttribute(attr_name="changedBy", null=True)
    changed_via = UnicodeAttribute(attr_name="changedVia", null=True)
    change_reason = UnicodeAttribute(attr_name="changeReason", null=True)
    adopted_at = UTCDateTimeAttribute(attr_name="adoptedAt", null=True)
    previous_username = UnicodeAttribute(attr_name="previousUsername", null=True)
    previous_password = UnicodeAttribute(attr_name="previousPassword", null=True)
    previous_credentials_id = UnicodeAttribute(attr_name="previousCredentialsId", null=True)
    previous_valid_until = EpochSeconds(attr_name="previousValidUntil", null=True)
    recent_requests = PlainMap(attr_name="recentRequests", null=True)
    unsettled = UnicodeSetAttribute(null=True)
    secret_arn = UnicodeAttribute(attr_name="secretArn", null=True)
    secret_version_id = UnicodeAttribute(attr_name="secretVersionId", null=True)
    tend_shard = NumberAttribute(attr_name="tendShard", null=True)
    tend_at = EpochSeconds(attr_name="tendAt", null=True)
    tend_failures = NumberAttribute(attr_name="tendFailures", null=True)
    planned_rotation = EpochSeconds(attr_name="plannedRotation", null=True)

    agenda = Agenda()
    by_customer = ByCustomer()
    by_username = ByUsername()
    by_previous_username = ByPreviousUsername()

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
    def find_by_username(cls, username: str) -> Self | None:
        """The phone whose pair in force, or the one before, has that username: as it is now, or None.

        One query of an index, two for a username that is not in force, and one consistent read: an index lags
        behind, so whether the pair is valid is for the phone itself to say. None when phones share a username.
        """
        with translated_errors():
            for index in (cls.by_username, cls.by_previous_username):
                hits = list(index.query(username, limit=2))
                if len(hits) > 1:
                    logger.warning("phones share a username", sipPhoneIds=[hit.id for hit in hits])
                    return None
                if hits:
                    return cls.find(hits[0].id)
        return None

    def owners(self) -> dict[Tenancy, str | int | None]:
        """Whose phone it is, as scopes ask."""
        cluster = None if self.pbx_cluster is None else int(self.pbx_cluster)
        return {"customer": self.customer, "reseller": self.reseller, "pbxCluster": cluster}

    def requests(self) -> dict[str, Any]:
        """What `idempotency` remembers of this phone."""
        return self.recent_requests or {}

    @property
    def has_pair(self) -> bool:
        """Whether its credentials are this service's: it was imported, or reset at least once."""
        return self.credentials_id is not None and self.credentials_changed_at is not None

    @property
    def has_fetched_configuration(self) -> bool:
        """Whether the phone gets its settings, and so a new pair, by itself."""
        return self.status is not None and self.status.config_loaded is not None

    def in_grace(self, now: datetime) -> bool:
        """Whether the pair before the one in force is still valid."""
        return self.previous_valid_until is not None and now < self.previous_valid_until

    @property
    def grace_until(self) -> str | None:
        """Until when the pair before the one in force is valid, as callers are told; None where it is not."""
        return None if self.previous_valid_until is None else timestamp(self.previous_valid_until)

    def next_attention(self, fleet_days: int) -> datetime | None:
        """When a phone that nobody is at work on comes up: at the end of its grace period, or when it is due."""
        return self.previous_valid_until or self.due(fleet_days)

    def due(self, fleet_days: int) -> datetime | None:
        """When the phone is to be rotated: the date planned for it, or its regular one; None for never."""
        planned: datetime | None = None if self.rotation_days == 0 else self.planned_rotation
        return planned or self.regular_due(fleet_days)

    def regular_due(self, fleet_days: int) -> datetime | None:
        """When the phone's own period ends, or the fleet's, which is ``fleet_days``; None for never."""
        days = period(
            own_days=None if self.rotation_days is None else int(self.rotation_days),
            fleet_days=fleet_days,
            has_fetched_configuration=self.has_fetched_configuration,
        )
        return next_rotation(changed_at=self.credentials_changed_at, credentials_id=self.credentials_id, days=days)


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
