"""The end of a grace period: the old pair is dropped because the phone has proved the new one, or in time.

Validity ends with the time, whoever is slow: what is done here is to tell the estate and to tidy up. The
announcement comes first, so that it is never lost: where the write does not follow, both are repeated.
"""

from datetime import datetime

from chalicelib import phone_writes
from chalicelib.announcements import Kind
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publisher
from chalicelib.telemetry import count_adoption, logger


def end(phone: SipPhones, publisher: Publisher) -> None:
    """Ends a grace period whose time is over without a proof.

    Raises :class:`~chalicelib.announcements.AnnouncementFailed`; and
    :class:`~chalicelib.dynamodb.ConditionFailed` when the phone has changed meanwhile.
    """
    over = publisher.announcement(phone, Kind.GRACE_ENDED, at=phone.previous_valid_until)
    publisher.announcements.announce(over)
    phone_writes.end_grace(phone, due=phone.due(publisher.fleet_rotation_days))
    logger.warning("grace period ended without proof", sipPhoneId=phone.id, credentialsId=phone.credentials_id)


def adopt(phone: SipPhones, publisher: Publisher, *, now: datetime) -> None:
    """Records that the phone has registered with its pair in force, and drops the old one.

    Raises what :func:`end` raises.
    """
    publisher.announcements.announce(publisher.announcement(phone, Kind.ADOPTED, at=now))
    phone_writes.end_grace(phone, due=phone.due(publisher.fleet_rotation_days), adopted_at=now)
    logger.info("credentials adopted", sipPhoneId=phone.id, credentialsId=phone.credentials_id)
    count_adoption()
