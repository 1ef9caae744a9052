"""The service as `make run` starts it, under a load of resets, replays, refusals and lookups from another process.

`make load` and `make faults FULL=1` run it in full: a minute at the rate of the API's own limit, then ever faster.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count

import psutil
import pytest

from chalicelib.access import AccessLevel
from ops.gateway import PROJECT
from tests.load.generator import LOOKUPS, MIX, Plan, Result
from tests.support import figures
from tests.support.aws import forget_clients
from tests.support.fleet import bearer, import_lines, new_owner, new_phone_id, stored
from tests.support.program import Running, running

FULL = os.environ.get("FULL") == "1"
RATE = 50 if FULL else 20
SECONDS = 60 if FULL else 15
WARM_UP_SECONDS = 5
PHONES = 500

STEP = 1.25
STEP_SECONDS = 10
MOST_LATENCY = 1.0
"""Seconds. At a rate that is held, 99 of 100 requests take no more, and no more are under way than come meanwhile."""

CORES = psutil.cpu_count() or 1
ALL_OF_IT = 0.85

# What may stay behind: caches that fill up and pools as large as the most requests at once, but nothing for each request.
MEGABYTE = 1024 * 1024
MORE_MEMORY = 24 * MEGABYTE
MORE_OF_ANYTHING = 48
REST_SECONDS = 30

Row = tuple[str, str]


@dataclass(frozen=True)
class State:
    """What a process holds."""

    memory: int
    threads: int
    files: int
    """Open files and connections, those to AWS included."""


@dataclass(frozen=True)
class Shares:
    """How much of a processor core each process used."""

    server: float
    simulator: float
    client: float
    machine: float
    """All processes on the machine, these and others, of all its cores."""

    @property
    def limit(self) -> str:
        """What there was no more of."""
        if self.server > ALL_OF_IT:
            return "the one core that a Python process has"
        if self.machine > ALL_OF_IT:
            ours = (self.server + self.simulator + self.client) / CORES
            return f"the machine's {CORES} cores, of which others had {max(0, self.machine - ours):.0%}"
        return "nothing that is used up: requests wait for one another"

    def __str__(self) -> str:
        return (
            f"server {self.server:.0%} of a core, simulated AWS {self.simulator:.0%}, client {self.client:.0%}; "
            f"all {CORES} cores {self.machine:.0%}"
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("load")) as service:
        yield service


@pytest.fixture(scope="module")
def plan(service: Running) -> Iterator[Plan]:
    """Phones, and tokens of somebody for each kind of answer."""
    os.environ["AWS_ENDPOINT_URL"] = service.run["awsEndpointUrl"]
    forget_clients()
    owner = new_owner()
    phones = [new_phone_id() for _ in range(PHONES)]
    results = import_lines(*(json.dumps({"_id": phone, "customer": owner}) for phone in phones))
    assert not any(result.reason for result in results)
    tokens = {
        name: bearer(level, customer=whose)["Authorization"].removeprefix("Bearer ")
        for name, level, whose in (
            ("owner", AccessLevel.OWNER, owner),
            ("stranger", AccessLevel.OWNER, new_owner()),
            ("nobody", AccessLevel.PERSONAL, owner),
            ("registrar", AccessLevel.REGISTRAR, None),
        )
    }
    usernames = [stored(phone).username for phone in phones]
    yield Plan(
        url=service.run["apiUrl"],
        rate=RATE,
        seconds=SECONDS,
        mix=MIX,
        phones=phones,
        usernames=usernames,
        **tokens,
    )
    forget_clients()
    del os.environ["AWS_ENDPOINT_URL"]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """What was measured, for the table in the end."""
    rows: list[Row] = []
    yield rows
    figures.write("load", "Load on the local server", rows)


def drive(service: Running, plan: Plan) -> tuple[Result, Shares]:
    """Runs the generator, and looks at what the processes cost meanwhile."""
    server = psutil.Process(service.pid)
    (simulator,) = server.children()

    def busy(process: psutil.Process) -> float:
        times = process.cpu_times()
        return times.user + times.system

    before, began = (busy(server), busy(simulator)), time.monotonic()
    psutil.cpu_percent()
    run = subprocess.run(
        [sys.executable, "-m", "tests.load.generator"],
        cwd=PROJECT, input=json.dumps(asdict(plan)), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    machine, seconds = psutil.cpu_percent() / 100, time.monotonic() - began
    result = Result(**json.loads(run.stdout))
    shares = Shares(
        server=(busy(server) - before[0]) / seconds,
        simulator=(busy(simulator) - before[1]) / seconds,
        client=result.cpu_seconds / plan.seconds,
        machine=machine,
    )
    return result, shares


def has_clients(server: psutil.Process, port: int) -> bool:
    """Whether anybody is connected to ``port`` of the server but the server itself, for its first reset."""
    connections = server.net_connections("tcp")
    own = {each.laddr.port for each in connections}
    return any(each.laddr.port == port and each.raddr and each.raddr.port not in own for each in connections)


def at_rest(service: Running) -> State:
    """What the server holds when no client is connected any more."""
    server = psutil.Process(service.pid)
    port = int(service.run["apiUrl"].rpartition(":")[2])
    deadline = time.monotonic() + REST_SECONDS
    while has_clients(server, port):
        assert time.monotonic() < deadline, "the server keeps connections whose clients are gone"
        time.sleep(0.2)
    time.sleep(0.5)  # their threads end
    return State(server.memory_info().rss, server.num_threads(), server.num_fds())


def percentiles(result: Result) -> tuple[float, float, float, float]:
    """Milliseconds that 50, 90, 99 and 100 of 100 requests took at most."""
    cuts = statistics.quantiles(result.latencies, n=100, method="inclusive")
    p50, p90, p99, most = (1000 * each for each in (cuts[49], cuts[89], cuts[98], max(result.latencies)))
    return p50, p90, p99, most


def is_held(plan: Plan, result: Result) -> bool:
    on_time = percentiles(result)[2] <= 1000 * MOST_LATENCY
    return not result.errors and on_time and result.backlog <= plan.rate * MOST_LATENCY


def show(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n{line}", end="")


def highest_held(service: Running, plan: Plan, capsys: pytest.CaptureFixture[str]) -> Row:
    """The highest rate at which ``plan`` is held, found by stepping up from its own, and what limits it."""
    highest = "none"
    for step in count():
        harder = replace(plan, rate=round(plan.rate * STEP**step), seconds=STEP_SECONDS)
        result, shares = drive(service, harder)
        held = is_held(harder, result)
        times = "{:.0f}, {:.0f}, {:.0f}, {:.0f} ms".format(*percentiles(result))
        show(capsys, f"{harder.rate:g} a second: {'held' if held else 'not held'}; {times}; {result.errors} errors; "
             f"{result.backlog} under way in the end; {shares}")  # fmt: skip
        late = ("503, expected", "TimeoutError")
        assert all(any(word in problem for word in late) for problem in result.problems), result.problems
        if not held:
            return highest, f"{shares.limit}; {shares}"
        highest = f"{harder.rate:g} a second"
    raise AssertionError


# First, while the usernames are those that the phones were imported with.
def test_every_lookup_of_the_registrar_feed_is_answered(
    service: Running, plan: Plan, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    lookups = replace(plan, mix=LOOKUPS)
    drive(service, replace(lookups, seconds=WARM_UP_SECONDS))
    result, _ = drive(service, lookups)
    assert not result.errors, result.problems
    if FULL:
        highest, limit = highest_held(service, lookups, capsys)
        rows += [
            ("lookups of the registrar feed, highest rate held", highest),
            ("what limits them", limit),
        ]


def test_a_steady_load_has_no_errors_and_leaves_nothing_behind(
    service: Running, plan: Plan, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    drive(service, replace(plan, seconds=WARM_UP_SECONDS))
    before = at_rest(service)
    result, shares = drive(service, plan)
    after = at_rest(service)

    load = f"{plan.rate:g} requests a second for {plan.seconds:g} s"
    times = "{:.0f}, {:.0f}, {:.0f}, {:.0f} ms".format(*percentiles(result))
    memory = f"{before.memory / MEGABYTE:.0f} MB, {after.memory / MEGABYTE:.0f} MB"
    rows += [
        (
            f"requests at {load}: sent, answered wrongly or not at all",
            f"{len(result.latencies):,}, {result.errors}",
        ),
        ("time that 50, 90, 99 and 100 of 100 requests took at most", times),
        ("memory of the server before and after", memory),
        ("its threads before and after", f"{before.threads}, {after.threads}"),
        ("its open files and connections before and after", f"{before.files}, {after.files}"),
    ]
    show(capsys, f"{load}: {times}; {result.errors} errors; {memory}; {before.threads}, {after.threads} threads; "
         f"{before.files}, {after.files} files; {shares}; {result.kinds}")  # fmt: skip
    assert not result.errors, result.problems
    assert sum(result.kinds.values()) == plan.rate * plan.seconds
    assert {"reset", "replay", "no token", "not allowed", "foreign phone", "bad key"} <= result.kinds.keys()
    assert after.memory <= before.memory + MORE_MEMORY
    assert after.threads <= before.threads + MORE_OF_ANYTHING
    assert after.files <= before.files + MORE_OF_ANYTHING


@pytest.mark.skipif(not FULL, reason="takes minutes: make load")
def test_too_much_load_makes_answers_late_and_never_wrong(
    service: Running, plan: Plan, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    highest, limit = highest_held(service, plan, capsys)
    rows += [
        ("highest rate held, 99 of 100 requests within a second", highest),
        ("what limits it", limit),
    ]

    time.sleep(STEP_SECONDS)
    recovered, _ = drive(service, replace(plan, rate=RATE / 2, seconds=WARM_UP_SECONDS))
    assert not recovered.errors, recovered.problems
