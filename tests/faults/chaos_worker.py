"""A client and the service it calls, in one process that may be killed at any moment.

The client does what a good one does: it repeats a request with the same key until it has an answer that is final.
What it is told goes to its journal, line by line, before it does anything else; the process that replaces a killed
one goes on where the journal ends.
"""

import hashlib
import json
import os
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import app
from chalicelib.errors import Unavailable
from tests.support.api import ChaliceApi
from tests.support.fleet import reset_path

FINAL = {200, 409}
REPEATED = 0.1
"""The share of requests that a client repeats although it has its answer."""
SWEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Request:
    """A reset that somebody wants."""

    number: int
    phone_id: str
    key: str


@dataclass
class Told:
    """What the clients of one request were told, over all attempts. Moments are of the monotonic clock."""

    asked_at: float
    statuses: list[int] = field(default_factory=list)
    pairs: list[tuple[float, str, str]] = field(default_factory=list)
    """When, which id, and the digest of which pair."""

    @property
    def is_final(self) -> bool:
        return bool(FINAL.intersection(self.statuses))


class Journal:
    """What a worker and those that it replaced were told, in a file that is only ever appended to."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def asks(self, request: Request) -> None:
        self._append({"request": request.number, "at": time.monotonic()})

    def is_told(self, request: Request, **answer: Any) -> None:
        self._append({"request": request.number, "at": time.monotonic(), **answer})

    def read(self) -> dict[int, Told]:
        """By the request's number."""
        told: dict[int, Told] = {}
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            entry = json.loads(line)
            of = told.setdefault(entry["request"], Told(entry["at"]))
            if "status" in entry:
                of.statuses.append(entry["status"])
            if "pair" in entry:
                of.pairs.append((entry["at"], entry["id"], entry["pair"]))
        return told

    def _append(self, entry: dict[str, Any]) -> None:
        # One write: a killed process leaves whole lines.
        with self._file.open("ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")


def digest_of(pair: tuple[str, str]) -> str:
    """A pair as it may stand in a journal."""
    return hashlib.sha256(":".join(pair).encode()).hexdigest()


def work(url: str, requests: list[Request], headers: dict[str, str], file: Path, seed: str) -> None:
    """Makes ``requests`` one after the other. Runs in a process of its own."""
    _begin(url, file)
    chance = random.Random(seed)  # noqa: S311 - decides when a test waits, not what is secret
    journal = Journal(file)
    told = journal.read()
    api = ChaliceApi()
    for request in requests:
        so_far = told.get(request.number)
        if so_far is None:
            journal.asks(request)
        elif so_far.is_final:
            continue
        waiting = 0.05
        while _ask(api, request, headers, journal) not in FINAL:
            time.sleep(chance.uniform(0, waiting))
            waiting = min(waiting * 2, 1)
        if chance.random() < REPEATED:
            _ask(api, request, headers, journal)


def sweep(url: str, file: Path) -> None:
    """Tends again and again. Runs in a process of its own."""
    _begin(url, file)
    while True:
        try:
            app.services().tending.tend(lambda: timedelta(minutes=4))
        except Unavailable:
            continue
        time.sleep(SWEEP_SECONDS)


def _ask(api: ChaliceApi, request: Request, headers: dict[str, str], journal: Journal) -> int:
    answer = api.request("POST", reset_path(request.phone_id), {**headers, "Idempotency-Key": request.key})
    pair = {}
    if answer.status == 200:
        pair["id"] = answer.headers["credentials-id"]
        pair["pair"] = digest_of((answer.json["username"], answer.json["password"]))
    journal.is_told(request, status=answer.status, **pair)
    return answer.status


def _begin(url: str, file: Path) -> None:
    os.environ["AWS_ENDPOINT_URL"] = url
    with file.with_suffix(".log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
