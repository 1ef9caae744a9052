"""What a process sends to AWS: counted, and made to take as long as AWS would."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.handlers

Latencies = Mapping[str, float]
"""Seconds for a call, by the service's name in botocore's events."""

NONE: Latencies = {}
EVEN: Latencies = dict.fromkeys(("dynamodb", "secrets-manager", "eventbridge"), 0.020)
REALISTIC: Latencies = {"dynamodb": 0.005, "secrets-manager": 0.025, "eventbridge": 0.015}


@dataclass
class Traffic:
    """The calls of this process. What it gives is for one measurement at a time."""

    sent: list[str] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    first: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each operation was first sent, by `time.perf_counter` and by `time.process_time`."""
    _latencies: Latencies = field(default_factory=dict)
    _thread: threading.local = field(default_factory=threading.local)

    def install(self) -> None:
        """Makes every client that the process creates from now on report here."""
        botocore.handlers.BUILTIN_HANDLERS += [
            ("before-send", self._on_send),
            ("before-parse", self._on_answer),
            ("after-call", self._on_result),
        ]

    @contextmanager
    def measured(self, latencies: Latencies) -> Iterator[None]:
        """Counts anew, and makes each call take what ``latencies`` has for its service.

        That is the time from the request's being sent to the answer's being read. The simulator's own time is a
        part of it; a call that takes the simulator longer is late, and counted.
        """
        self.sent, self.items, self.late, self.first = [], [], [], {}
        self._latencies = latencies
        try:
            yield
        finally:
            self._latencies = NONE

    def requests(self) -> Counter[str]:
        """How often each operation was sent."""
        return Counter(self.sent)

    def _on_send(self, event_name: str, **_rest: Any) -> None:
        operation = event_name.rsplit(".", 1)[1]
        self._thread.began = time.perf_counter()
        self.sent.append(operation)  # this and the next are safe in threads
        self.first.setdefault(operation, (self._thread.began, time.process_time()))

    def _on_answer(self, event_name: str, **_rest: Any) -> None:
        _, service, operation = event_name.split(".")
        if service not in self._latencies:
            return
        left = self._thread.began + self._latencies[service] - time.perf_counter()
        if left > 0:
            time.sleep(left)
        else:
            self.late.append(operation)

    def _on_result(self, parsed: dict[str, Any], model: Any, **_rest: Any) -> None:
        if model.name == "Query":
            self.items.append(parsed["ScannedCount"])


traffic = Traffic()
