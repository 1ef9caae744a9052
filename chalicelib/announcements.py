"""Announcements: what happened to a phone's credentials, told to the rest of the estate over EventBridge."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import CallFailed

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "sipphone.credentials"

ChangedVia = Literal["http", "lambda", "cli", "schedule", "import"]


class Kind(StrEnum):
    """What is announced, as the event's detail-type."""

    RESET = "SIP Phone Credentials Reset"
    ADOPTED = "SIP Phone Credentials Adopted"
    """The phone has registered with the pair in force."""
    GRACE_ENDED = "SIP Phone Credentials Grace Ended"
    """The old pair has lost its validity, and nobody has seen the phone register with the pair in force."""


class AnnouncementFailed(CallFailed):
    """The bus did not take the event."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that happened to a phone's credentials ``at`` a time.

    Consumers tell duplicates by the kind and the ``credentialsId`` of the ``detail``, which holds no secret.
    """

    kind: Kind
    at: datetime
    detail: Mapping[str, Any]


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
                        "DetailType": announcement.kind,
                        "Detail": json.dumps(announcement.detail),
                        "Time": announcement.at,
                    }
                ]
            )
        except (ClientError, BotoCoreError) as failure:
            raise AnnouncementFailed.because(failure) from failure
        if answer["FailedEntryCount"]:
            code = answer["Entries"][0].get("ErrorCode", "FailedEntry")
            raise AnnouncementFailed(code, transient=code in _TRANSIENT_ENTRY_ERRORS)


_TRANSIENT_ENTRY_ERRORS = frozenset({"ThrottlingException", "InternalFailure", "InternalException"})
