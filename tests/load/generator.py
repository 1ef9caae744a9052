"""Sends requests at a fixed rate, however long the answers take: an open loop, in a process of its own.

A client that waits for an answer before it sends again slows down with the server, and never sees the queue. So a
request's time counts from the moment it was to be sent. Reads a `Plan` as JSON from standard input and writes a
`Result` to standard output.
"""

import asyncio
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import aiohttp

TIMEOUT_SECONDS = 30
PROBLEMS_SHOWN = 5
# What twenty requests ask for, in turn. Two of three are resets; a replay repeats one that was answered.
MIX = [
    "reset", "replay", "reset", "no token", "reset", "reset by GET", "reset", "replay", "reset", "foreign phone",
    "reset", "reset", "replay", "reset", "not allowed", "reset", "reset by GET", "bad key", "replay", "reset",
]  # fmt: skip
LOOKUPS = ["lookup"]
REFUSALS = {"no token": 401, "not allowed": 403, "foreign phone": 404, "bad key": 400}


@dataclass(frozen=True)
class Plan:
    """What to send, for how long, and with what: tokens by what they may do, phones that the reset reaches."""

    url: str
    rate: float
    seconds: float
    mix: list[str]
    """The kinds of the requests, in turn."""
    phones: list[str]
    usernames: list[str]
    """Those that the registrar asks for."""
    owner: str
    """The token of the phones' owner."""
    stranger: str
    """The token of somebody for whom the phones do not exist."""
    nobody: str
    """The token of a level that may not reset."""
    registrar: str


@dataclass
class Result:
    """What became of the requests."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from when each request was due to the end of its answer."""
    kinds: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    """Requests that were not answered, or not as they had to be."""
    problems: list[str] = field(default_factory=list)
    """What was wrong with the first of them."""
    backlog: int = 0
    """Requests that were under way when the last one was sent."""
    cpu_seconds: float = 0.0
    """Of this process, while it sent."""


@dataclass(frozen=True)
class Request:
    """One request, and what its answer has to be."""

    kind: str
    method: str
    subject: str
    """The phone, or the username of a lookup."""
    headers: dict[str, str]
    status: int
    credentials_id: str | None = None
    """The pair that a replay has to be answered with."""


class Traffic:
    """The requests in their order. A replay takes up the latest reset that was answered."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._phones = cycle(plan.phones)
        self._usernames = cycle(plan.usernames)
        self._answered: deque[tuple[Request, str]] = deque(maxlen=len(plan.phones) // 4)

    def __iter__(self) -> Iterator[Request]:
        for kind in cycle(self._plan.mix):
            yield self._request(kind)

    def _request(self, kind: str) -> Request:
        plan = self._plan
        if kind == "lookup":
            return Request(kind, "GET", next(self._usernames), {"Authorization": f"Bearer {plan.registrar}"}, 200)
        if kind == "replay" and self._answered:
            request, credentials_id = self._answered.pop()
            return Request("replay", "POST", request.subject, request.headers, 200, credentials_id)
        token = {"not allowed": plan.nobody, "foreign phone": plan.stranger}.get(kind, plan.owner)
        headers = {"Authorization": f"Bearer {'x' if kind == 'no token' else token}"}
        if kind in REFUSALS:
            if kind == "bad key":
                headers["Idempotency-Key"] = "k" * 256
            return Request(kind, "POST", plan.phones[0], headers, REFUSALS[kind])
        if kind == "reset by GET":
            return Request(kind, "GET", next(self._phones), headers, 200)
        return Request(
            "reset", "POST", next(self._phones), headers | {"Idempotency-Key": secrets.token_hex(8)}, 200
        )

    def answered(self, request: Request, credentials_id: str) -> None:
        """A reset was answered, so that it can be replayed."""
        if request.kind == "reset":
            self._answered.append((request, credentials_id))


async def send(session: aiohttp.ClientSession, plan: Plan, traffic: Traffic, request: Request) -> str | None:
    """Sends a request. What is wrong with the answer, if anything is; nothing of its content."""
    lookup = request.kind == "lookup"
    path = f"registrar/digest/{request.subject}" if lookup else f"pbx/sipphone/{request.subject}/resetcredentials"
    try:
        async with session.request(request.method, f"{plan.url}/{path}", headers=request.headers) as answer:
            document: dict[str, Any] = json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return f"{request.kind}: {type(error).__name__}"
    if answer.status != request.status:
        return f"{request.kind}: {answer.status}, expected {request.status}"
    if lookup:
        return None if document["username"] == request.subject else "lookup: another username"
    if request.status == 200:
        credentials_id = answer.headers["Credentials-Id"]
        if request.credentials_id not in (None, credentials_id):
            return f"{request.kind}: another pair than the first time"
        if document["_id"] != request.subject:
            return f"{request.kind}: another phone"
        traffic.answered(request, credentials_id)
    return None


async def generate(plan: Plan) -> Result:
    """Sends what is planned and waits for the answers."""
    result = Result()
    traffic = Traffic(plan)
    requests = iter(traffic)
    under_way: set[asyncio.Task[None]] = set()

    async def one(session: aiohttp.ClientSession, request: Request, due: float) -> None:
        problem = await send(session, plan, traffic, request)
        result.latencies.append(time.monotonic() - due)
        result.kinds[request.kind] = result.kinds.get(request.kind, 0) + 1
        if problem is not None:
            result.errors += 1
            if len(result.problems) < PROBLEMS_SHOWN:
                result.problems.append(problem)

    connections = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(connector=connections, timeout=timeout) as session:
        began, busy = time.monotonic(), time.process_time()
        for number in range(round(plan.rate * plan.seconds)):
            due = began + number / plan.rate
            await asyncio.sleep(due - time.monotonic())
            task = asyncio.create_task(one(session, next(requests), due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        result.backlog = len(under_way)
        result.cpu_seconds = time.process_time() - busy
        await asyncio.gather(*under_way)
    return result


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(generate(Plan(**json.load(sys.stdin))))), sys.stdout)
