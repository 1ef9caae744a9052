"""Announcements: what happened to a phone's credentials, told to the rest of the estate over EventBridge."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import CallFailed
from chalicelib.clock import timestamp

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "sipphone.credentials"
RESET = "SIP Phone Credentials Reset"

ChangedVia = Literal["http", "lambda", "schedule", "import"]


class AnnouncementFailed(CallFailed):
    """The bus did not take the event."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A pair came into force. Consumers tell duplicates by ``credentials_id``. Holds no secret."""

    phone_id: str
    customer: str | None
    reseller: str | None
    credentials_id: str
    changed_at: datetime
    changed_via: str
    changed_by: str
    reason: str | None
    secret_name: str

    def detail(self) -> dict[str, str | None]:
        """The event's ``detail``."""
        return {
            "sipPhoneId": self.phone_id,
            "customer": self.customer,
            "reseller": self.reseller,
            "credentialsId": self.credentials_id,
            "changedAt": timestamp(self.changed_at),
            "changedVia": self.changed_via,
            "changedBy": self.changed_by,
            "reason": self.reason,
            "secretName": self.secret_name,
        }


@dataclass(frozen=True, slots=True)
class Announcements:
    """The event bus that announcements go to."""

    client: "EventBridgeClient" = field(repr=False)
    bus: str

    def announce(self, announcement: Announcement) -> None:
        """Puts one event on the bus. Raises :class:`AnnouncementFailed`.

        https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html: an answer of 200 can
        still say that the entry failed.
        """
        try:
            answer = self.client.put_events(
                Entries=[
                    {
                        "EventBusName": self.bus,
                        "Source": SOURCE,
                        "DetailType": RESET,
                        "Detail": json.dumps(announcement.detail()),
                        "Time": announcement.changed_at,
                    }
                ]
            )
        except (ClientError, BotoCoreError) as failure:
            raise AnnouncementFailed.because(failure) from failure
        if "FailedEntryCount" not in answer:  # the SDK takes an answer that it cannot read for an empty one
            raise AnnouncementFailed("UnreadableAnswer", transient=True)
        if answer["FailedEntryCount"]:
            code = answer["Entries"][0].get("ErrorCode", "FailedEntry")
            raise AnnouncementFailed(code, transient=code in _TRANSIENT_ENTRY_ERRORS)


_TRANSIENT_ENTRY_ERRORS = frozenset({"ThrottlingException", "InternalFailure", "InternalException"})
