"""When a phone's credentials are due for rotation. Pure."""

from datetime import datetime, timedelta

JITTER = 0.10


def period(*, own_days: int | None, fleet_days: int, has_fetched_configuration: bool) -> int:
    """A phone's rotation period in days, 0 for never.

    The phone's own period wins over the fleet's. The fleet's applies only to phones that have fetched their
    configuration at least once: a phone configured by hand would be cut off by a rotation.
    """
    if own_days is not None:
        return own_days
    return fleet_days if has_fetched_configuration else 0


def next_rotation(*, changed_at: datetime, credentials_id: str, days: int) -> datetime | None:
    """The moment the pair ``credentials_id``, in force since ``changed_at``, is due; None for never.

    ``days`` is the phone's rotation period, 0 for never. The due date is jittered by up to 10 % either way,
    so that a fleet imported in one hour is not rotated in one hour. The jitter comes from the pair's random
    id: it is the same however often it is computed, and another one in the next cycle. The date is in whole
    seconds, as the agenda keeps it.
    """
    if days == 0:
        return None
    position = int(credentials_id[:8], 16) / 0xFFFFFFFF
    date = changed_at + timedelta(days=days) * (1 - JITTER + 2 * JITTER * position)
    return date.replace(microsecond=0)
