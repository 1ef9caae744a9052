"""Who is measured: this service, its peers, and the floors. What is here runs in the contender's own process."""

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from bench.traffic import Latencies, traffic
from tests.support.archive import event, reset_over_http

SERVICE = "this service"
TWO_CALLS = "two calls"
RAW = "raw botocore"
FOUR_STEP = "four-step function"

OVER_HTTP = {
    SERVICE: ("app", "app"),
    "plain Chalice": ("bench.peers.plain_chalice", "app"),
    "FastAPI and Mangum": ("bench.peers.fastapi_mangum", "handler"),
    "Powertools resolver": ("bench.peers.powertools_resolver", "handler"),
}
"""Those that API Gateway calls: module and entry point."""
DIRECT = {
    RAW: ("bench.peers.raw_botocore", "reset"),
    TWO_CALLS: ("bench.peers.two_calls", "reset"),
    FOUR_STEP: ("bench.peers.four_step", "rotate"),
}
"""Those that are called with a phone's id."""

CALLER = {
    "tokenId": "0123456789abcdef",
    "accessLevel": "OWNER",
    "customer": "5F00000000000000000000C1",
}
"""Who resets, as the authorizer describes it: the phones' owner."""


@dataclass(frozen=True)
class Batch:
    """What some calls, one after another, took: seconds of each, processor seconds of all, and requests to AWS."""

    seconds: list[float]
    processor_seconds: float
    requests: Counter[str]
    late: int

    @property
    def each(self) -> float:
        """Seconds of a call, the median."""
        return statistics.median(self.seconds)

    @property
    def requests_each(self) -> Counter[str]:
        """The requests of a call, which are the same for each."""
        return each_of(self.requests, len(self.seconds))

    @property
    def processor_each(self) -> float:
        """Processor seconds of a call."""
        return self.processor_seconds / len(self.seconds)


def each_of(requests: Counter[str], calls: int) -> Counter[str]:
    """What each of ``calls`` sent, if it was the same for all."""
    if any(count % calls for count in requests.values()):
        raise RuntimeError(f"{calls} calls sent {requests}")
    return Counter({operation: count // calls for operation, count in requests.items()})


def resets(name: str, phone_ids: Sequence[str], latencies: Latencies) -> Batch:
    """Resets phones by way of the contender ``name``, each of them once, and fails unless every answer says so."""
    module, attribute = {**OVER_HTTP, **DIRECT}[name]
    entry = getattr(import_module(module), attribute)
    if name in DIRECT:
        return measured(entry, [(phone_id,) for phone_id in phone_ids], latencies)
    asked = [(reset_over_http(phone_id, CALLER, os.urandom(8).hex()), context()) for phone_id in phone_ids]
    return measured(entry, asked, latencies, check=_answered)


def authorizations(token: str, times: int, latencies: Latencies) -> Batch:
    """Has the service's authorizer judge a valid token as often as ``times`` says."""
    asked = {**event("authorizer_token"), "authorizationToken": f"Bearer {token}"}
    return measured(import_module("app").api_token, [(asked, context())] * times, latencies)


def measured(
    call: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    latencies: Latencies,
    check: Callable[[Any], None] = lambda _: None,
) -> Batch:
    """Makes the calls, one after another, and takes their time."""
    seconds, answers = [], []
    with traffic.measured(latencies):
        processor_began = time.process_time()
        for given in arguments:
            began = time.perf_counter()
            answers.append(call(*given))
            seconds.append(time.perf_counter() - began)
        processor_seconds = time.process_time() - processor_began
    for answer in answers:
        check(answer)
    return Batch(seconds, processor_seconds, traffic.requests(), len(traffic.late))


def context() -> Any:
    """What Lambda gives a function beside the event, with plenty of time left."""
    return SimpleNamespace(**event("lambda_context"), get_remaining_time_in_millis=lambda: 3_600_000)


def _answered(answer: dict[str, Any]) -> None:
    if answer["statusCode"] != HTTPStatus.OK or "Idempotent-Replayed" in answer.get("headers", {}):
        raise RuntimeError(f"a reset was answered with {answer['statusCode']}: {answer['body']}")
