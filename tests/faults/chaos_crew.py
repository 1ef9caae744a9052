"""The processes of the chaos run: clients with the service in them, and one that tends, all of them mortal."""

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.faults.chaos_worker import Journal, Request, Told, sweep, work

SWEEPER = -1


@dataclass
class Crew:
    """Each process is killed now and then, and replaced by one that goes on where it ended."""

    url: str
    """Of AWS."""
    requests: list[Request]
    headers: dict[str, str]
    workers: int
    seconds_between_kills: float
    seed: str
    folder: Path
    kills: int = 0

    def __post_init__(self) -> None:
        # Forked from a process that has imported everything and has no threads.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.faults.chaos_worker"])

    def run(self) -> None:
        """Until every request has a final answer."""
        chance = random.Random(self.seed)  # noqa: S311 - decides who dies, not what is secret
        crew = {place: self._start(place) for place in (*range(self.workers), SWEEPER)}
        while len(crew) > 1:
            time.sleep(chance.uniform(0, 2 * self.seconds_between_kills))
            for place in [place for place, member in crew.items() if not member.is_alive()]:
                assert crew.pop(place).exitcode == 0, f"see {self.folder}"
            victim = chance.choice((*range(self.workers), SWEEPER))
            if victim in crew:
                self._kill(crew[victim])
                self.kills += 1
                crew[victim] = self._start(victim)
        self._kill(crew[SWEEPER])

    def told(self) -> dict[int, Told]:
        """What the clients were told, by the request's number."""
        journals = [Journal(self._file(place)).read() for place in range(self.workers)]
        return {number: told for journal in journals for number, told in journal.items()}

    def _start(self, place: int) -> ForkServerProcess:
        if place == SWEEPER:
            return self._process(sweep, self.url, self._file(place))
        requests = self.requests[place :: self.workers]
        return self._process(
            work, self.url, requests, self.headers, self._file(place), f"{self.seed} {place} {self.kills}"
        )

    def _process(self, does: Callable[..., None], *what: Any) -> ForkServerProcess:
        process = self._context.Process(target=does, args=what, daemon=True)
        process.start()
        return process

    def _kill(self, process: ForkServerProcess) -> None:
        process.kill()
        process.join()

    def _file(self, place: int) -> Path:
        return self.folder / f"journal {place}"
