"""Resets a phone over HTTP, and repeats the request with the same idempotency key until it is answered.

Needs urllib3 2. API and TOKEN are taken from the environment:

    python3 docs/examples/reset_phone.py 5F0000000000000000000001 "order 4711, phone 1"

Exit status: 0 reset, 1 refused or given up.
"""

import json
import os
import sys
from http import HTTPStatus
from typing import Any

import urllib3

# After a broken connection, 500 or 503 nobody knows whether the phone was reset. The same key settles that.
RETRIES = urllib3.Retry(
    total=6,
    allowed_methods=["POST"],  # which urllib3 does not repeat by itself
    status_forcelist=[429, 500, 503],
    backoff_factor=0.5,  # at once, then after 1, 2, 4, 8 and 16 seconds
    backoff_jitter=0.5,
    raise_on_status=False,
)
HTTP = urllib3.PoolManager(retries=RETRIES, timeout=urllib3.Timeout(connect=5, read=30))


class NotReset(Exception):
    """The text says why, and under which id the service's log has the request."""


def reset(phone_id: str, key: str) -> dict[str, Any]:
    """The phone with its new credentials. ``key`` names the reason, and is the same at every attempt."""
    answer = HTTP.request(
        "POST",
        f"{os.environ['API']}/pbx/sipphone/{phone_id}/resetcredentials",
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}", "Idempotency-Key": key},
    )
    body: dict[str, Any] = answer.json()
    if answer.status != HTTPStatus.OK:
        raise NotReset("{code} {message}: {description} (request {requestId})".format_map(body))
    return body


if __name__ == "__main__":
    try:
        json.dump(reset(*sys.argv[1:3]), sys.stdout, indent=2)
    except (NotReset, urllib3.exceptions.HTTPError) as failure:
        sys.exit(f"Error: {failure}")
