"""Remembers which request was answered with which pair. Pure.

A phone's ``recentRequests`` maps the digest of the request's idempotency key to the ``id`` of the pair and the
moment ``at``, in milliseconds. A request without a key is remembered by the id of its own pair: nobody can repeat
it but the SDK, when the answer to its write was lost.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

LIFE = timedelta(hours=24)
"""How long a key is remembered."""
KEPT = 24
"""How many keys a phone remembers after it was settled: at least the twenty that callers may count on. As many
requests without a key are remembered beside them."""


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


def answer(requests: Mapping[str, Any], key_digest: str, now: datetime) -> str | None:
    """The id of the pair that the request of that key was answered with in the last 24 hours."""
    remembered = requests.get(key_digest)
    return None if remembered is None or remembered["at"] < oldest(now) else str(remembered["id"])


def forgettable(requests: Mapping[str, Any], now: datetime) -> list[str]:
    """The digests of the requests that are too old or too many."""
    newest_first = sorted(requests, key=lambda key_digest: -requests[key_digest]["at"])
    keys = [key_digest for key_digest in newest_first if requests[key_digest]["id"] != key_digest]
    without_key = [key_digest for key_digest in newest_first if requests[key_digest]["id"] == key_digest]
    kept = {*keys[:KEPT], *without_key[:KEPT]}
    return [
        key_digest
        for key_digest in newest_first
        if key_digest not in kept or requests[key_digest]["at"] < oldest(now)
    ]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
