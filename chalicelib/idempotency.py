"""Remembers which request was answered with which pair, by the request's idempotency key. Pure.

A phone's ``recentRequests`` maps the digest of a key to the ``id`` of the pair and the moment ``at``, in
milliseconds.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

LIFE = timedelta(hours=24)
"""How long a key is remembered."""
KEPT = 24
"""How many keys a phone remembers after it was settled: at least the twenty that callers may count on."""


def digest(key: str, *, purpose: Literal["reset", "plan", "cancel"]) -> str:
    """What is stored of a key: 128 bits of a SHA-256. A key may hold a name that is nobody's business.

    A reset, a plan and its cancellation that come with the same key are three requests.
    """
    return hashlib.sha256(f"{purpose} {key}".encode()).hexdigest()[:32]


def entry(credentials_id: str, at: datetime) -> dict[str, Any]:
    """What is stored under a key's digest."""
    return {"id": credentials_id, "at": _milliseconds(at)}


def oldest(now: datetime) -> int:
    """The ``at`` before which a key counts as unknown, in milliseconds."""
    return _milliseconds(now - LIFE)


def answer(requests: Mapping[str, Any], key_digest: str | None, now: datetime) -> str | None:
    """The id of the pair that the request of that key was answered with in the last 24 hours."""
    remembered = requests.get(key_digest or "")
    return None if remembered is None or remembered["at"] < oldest(now) else str(remembered["id"])


def forgettable(requests: Mapping[str, Any], now: datetime) -> list[str]:
    """The digests of the keys that are too old or too many."""
    newest_first = sorted(requests, key=lambda key_digest: -requests[key_digest]["at"])
    return [
        key_digest
        for place, key_digest in enumerate(newest_first)
        if place >= KEPT or requests[key_digest]["at"] < oldest(now)
    ]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
