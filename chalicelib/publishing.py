"""Publishing the pair in force: its copy in the mirror, its announcement, and the record that both are done."""

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from chalicelib import phone_writes
from chalicelib.announcements import Announcement, AnnouncementFailed, Announcements, Kind
from chalicelib.aws import CallFailed
from chalicelib.clock import Clock, timestamp
from chalicelib.credentials import Credentials, new_id
from chalicelib.dynamodb import ConditionFailed, RequestRefused
from chalicelib.errors import Unavailable
from chalicelib.mirror import Copy, Mirror, MirrorUnavailable
from chalicelib.phones import SipPhones
from chalicelib.telemetry import logger


class Publication(Enum):
    """How a publication ended. Unless it is settled, the phone stays on the agenda."""

    SETTLED = "settled"
    OVERTAKEN = "overtaken"
    """Another publication of the phone may be under way, or another pair is in force."""
    UNAVAILABLE = "unavailable"
    """AWS was throttled, broken or out of reach; soon it may not be."""
    REFUSED = "refused"
    """AWS refused, for a reason that will last."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing works on. ``background`` runs the announcement beside the mirror's write."""

    mirror: Mirror
    announcements: Announcements
    background: Executor
    clock: Clock
    fleet_rotation_days: int

    def publish(self, phone: SipPhones, token: str, *, is_new: bool = False) -> Publication:
        """Copies the pair in force to the mirror and announces it, both at once, then settles.

        ``token`` is the publication's entry in the phone's ``unsettled`` and becomes the secret's version id.
        ``is_new`` says that the phone most likely has no secret yet.
        """
        announced = self.background.submit(
            self.announcements.announce, self.announcement(phone, Kind.RESET, at=phone.credentials_changed_at)
        )
        failures: list[CallFailed] = []
        secret_arn = ""
        try:
            secret_arn = self.mirror.put(copy_of(phone), token=token, is_new=is_new)
        except MirrorUnavailable as failure:
            failures.append(failure)
        try:
            announced.result()
        except AnnouncementFailed as failure:
            failures.append(failure)
        if failures:
            return _failed(phone, *failures)
        return self.settle(phone, token, secret_arn=secret_arn)

    def settle(self, phone: SipPhones, token: str, *, secret_arn: str | None) -> Publication:
        """Records that the publication ``token`` is done, and when the phone is next due.

        ``secret_arn`` is None where the publication had nothing to write to the mirror.
        """
        due = phone.next_attention(self.fleet_rotation_days)
        try:
            settled = phone_writes.settle(phone, token, secret_arn=secret_arn, due=due, now=self.clock())
        except Unavailable:
            return _failed(phone, DYNAMODB_UNAVAILABLE)
        except RequestRefused as refusal:
            return _failed(phone, CallFailed(str(refusal), transient=False))
        return Publication.SETTLED if settled else Publication.OVERTAKEN

    def complete(self, phone: SipPhones) -> Publication:
        """Publishes what a publisher that is no more left undone. Its time, `PUBLISHER_LIFE`, must be over.

        Where only the publication of the pair in force is listed, it is repeated under its own token, which
        changes nothing of what it had done. Where others are listed, one of them may have come last and put
        an older pair into the mirror, and repeating a token does not bring its version back: then all of them
        are fenced, and the pair in force is published under a fresh token.
        """
        if phone.unsettled == {phone.credentials_id}:
            return self.publish(phone, phone.credentials_id)
        token = new_id()
        try:
            for abandoned in phone.unsettled:
                self.mirror.fence(copy_of(phone), token=abandoned)
            phone_writes.take_over(phone, token, now=self.clock())
        except ConditionFailed:
            return Publication.OVERTAKEN
        except Unavailable:
            return _failed(phone, DYNAMODB_UNAVAILABLE)
        except RequestRefused as refusal:
            return _failed(phone, CallFailed(str(refusal), transient=False))
        except MirrorUnavailable as failure:
            return _failed(phone, failure)
        return self.publish(phone, token)

    def announcement(self, phone: SipPhones, kind: Kind, *, at: datetime) -> Announcement:
        """What is told of the phone: whose it is, its pair without the password, and where a notifier finds it.

        ``previousUsername`` is what the phone is registered under until it has the new pair.
        """
        previous = None if phone.previous_username == phone.username else phone.previous_username
        detail = {
            "sipPhoneId": phone.id,
            "customer": phone.customer,
            "reseller": phone.reseller,
            "pbxCluster": None if phone.pbx_cluster is None else int(phone.pbx_cluster),
            "extension": phone.extension,
            "macAddress": phone.mac_address,
            "sipPhoneModel": phone.sip_phone_model,
            "username": phone.username,
            "previousUsername": previous,
            "graceUntil": phone.grace_until,
            "credentialsId": phone.credentials_id,
            "changedAt": timestamp(phone.credentials_changed_at),
            "changedVia": phone.changed_via,
            "changedBy": phone.changed_by,
            "reason": phone.change_reason,
            "secretName": self.mirror.secret_name(phone.id),
        }
        return Announcement(kind, at, detail)


def copy_of(phone: SipPhones) -> Copy:
    """What the mirror should have of the phone."""
    return Copy(
        phone_id=phone.id,
        customer=phone.customer,
        credentials=Credentials(phone.username, phone.password),
        credentials_id=phone.credentials_id,
        changed_at=phone.credentials_changed_at,
    )


DYNAMODB_UNAVAILABLE = CallFailed("DynamoDB unavailable", transient=True)


def _failed(phone: SipPhones, *failures: CallFailed) -> Publication:
    for failure in failures:
        logger.warning("publication failed", sipPhoneId=phone.id, error=str(failure))
    if all(failure.transient for failure in failures):
        return Publication.UNAVAILABLE
    return Publication.REFUSED
