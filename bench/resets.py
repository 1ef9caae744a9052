"""A reset: how long it takes, what processor time, which requests, and what the authorizer adds."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bench.contenders import FOUR_STEP, OVER_HTTP, RAW, SERVICE, TWO_CALLS, Batch, authorizations, resets
from bench.figures import Aim, Section, Spread, ratios
from bench.traffic import EVEN, NONE, REALISTIC
from ops import costs

LATENCIES = {"none": NONE, "20 ms": EVEN, "realistic": REALISTIC}
AIMS = {"20 ms": 1.6, "realistic": 1.25}
PROCESSOR_AIM = 1.25
PEERS = [name for name in OVER_HTTP if name != SERVICE]
CONTENDERS = [SERVICE, *PEERS, RAW, TWO_CALLS]

Processes = Mapping[str, ProcessPoolExecutor]
Phones = Iterator[list[str]]

# An item of the sample phones has between 1 and 2 KB. Only this service has an agenda: taking a phone out and
# putting one in are a unit each.
ITEM_UNITS = 2
AGENDA_UNITS = 2
READ_UNITS = 0.5


@dataclass(frozen=True)
class Rounds:
    """What was measured: for each kind of latency and contender, a batch a round; and the authorizer's."""

    batches: dict[str, dict[str, list[Batch]]]
    authorizer: dict[str, list[Batch]]
    four_step: Batch


def measure(processes: Processes, phones: Phones, token: str, *, rounds: int) -> list[Section]:
    """Resets phones by way of every contender in turn, ``rounds`` times, and answers what that took."""
    for name in [*CONTENDERS, FOUR_STEP]:  # imports, connections
        processes[name].submit(resets, name, next(phones), NONE).result()
    made = Rounds(
        {kind: {name: [] for name in CONTENDERS} for kind in LATENCIES},
        {kind: [] for kind in LATENCIES},
        processes[FOUR_STEP].submit(resets, FOUR_STEP, next(phones), NONE).result(),
    )
    for _ in range(rounds):
        for kind, latencies in LATENCIES.items():
            for name in CONTENDERS:
                batch = processes[name].submit(resets, name, next(phones), latencies).result()
                made.batches[kind][name].append(batch)
            judged = processes[SERVICE].submit(authorizations, token, len(batch.seconds), latencies).result()
            made.authorizer[kind].append(judged)
    return [latency(made), processor(made), requests(made), authorizer(made)]


def latency(made: Rounds) -> Section:
    """How long a reset takes, and how many times as long as two calls."""
    times = {
        kind: {name: [batch.each for batch in batches] for name, batches in of_kind.items()}
        for kind, of_kind in made.batches.items()
    }
    ratio = {
        kind: {name: ratios(values, of_kind[TWO_CALLS]) for name, values in of_kind.items()}
        for kind, of_kind in times.items()
    }
    rows = [
        [
            name,
            *(f"{Spread.of(times[kind][name]).median * 1000:.1f} ms" for kind in LATENCIES),
            *(f"{ratio[kind][name]:.2f}" for kind in LATENCIES),
        ]
        for name in CONTENDERS
    ]
    aims = []
    for kind, most in AIMS.items():
        ours = ratio[kind][SERVICE].median
        aims.append(Aim(f"a reset, {kind}: at most {most} times two calls", f"{ours:.2f}", ours <= most))
        quickest = min(ratio[kind][name].median for name in PEERS)
        aims.append(
            Aim(f"a reset, {kind}: every framework is slower", f"{ours:.2f}, {quickest:.2f}", ours < quickest)
        )
    columns = ["", *LATENCIES, *(f"{kind}, to two calls" for kind in LATENCIES)]
    return Section("latency", columns, rows, {"ratioToTwoCalls": ratio, "seconds": times}, aims)


def processor(made: Rounds) -> Section:
    """Processor time of a reset, and how many times that of its bare calls."""
    times = {name: [batch.processor_each for batch in batches] for name, batches in made.batches["none"].items()}
    ratio = {name: ratios(values, times[RAW]) for name, values in times.items()}
    rows = [
        [name, f"{Spread.of(times[name]).median * 1000:.2f} ms", f"{ratio[name]:.2f}"]
        for name in [SERVICE, *PEERS, RAW]
    ]
    ours = ratio[SERVICE].median
    aim = Aim(
        f"processor time of a reset: at most {PROCESSOR_AIM} times its bare calls",
        f"{ours:.2f}",
        ours <= PROCESSOR_AIM,
    )
    columns = ["", "processor time", "to raw botocore"]
    return Section("processor", columns, rows, {"ratioToRaw": ratio, "seconds": times}, [aim])


def requests(made: Rounds) -> Section:
    """The requests to AWS for a reset or a rotation, and what a million of them cost."""
    batches = {name: rounds[0] for name, rounds in made.batches["realistic"].items()}
    each = {name: _of_one(batch) for name, batch in {**batches, FOUR_STEP: made.four_step}.items()}
    rows = [
        [name, str(sent.total()), f"{_million(sent, agenda=name in (SERVICE, RAW)):.2f} $", _listed(sent)]
        for name, sent in each.items()
    ]
    ours, theirs = each[SERVICE].total(), each[FOUR_STEP].total()
    aims = [
        Aim("requests for a reset: at most 4", str(ours), ours <= 4),  # noqa: PLR2004 - as it says
        Aim(
            "requests for a rotation: at most a third of the four-step function",
            f"{ours}, {theirs}",
            ours <= theirs / 3,
        ),
    ]
    columns = ["", "requests", "a million cost", "which"]
    return Section("requests", columns, rows, {"requests": each}, aims)


def authorizer(made: Rounds) -> Section:
    """What a request costs with a token that API Gateway remembers, and with one that the authorizer judges."""
    cached = made.batches["realistic"][SERVICE]
    judged = made.authorizer["realistic"]
    uncached = [reset.each + token.each for reset, token in zip(cached, judged, strict=True)]
    added = [batch.processor_each for batch in made.authorizer["none"]]
    reads = _of_one(judged[0])
    ratio = ratios(uncached, [batch.each for batch in cached])
    invocation = costs.INVOCATION * costs.MILLION
    rows = [
        ["cached token", "1", str(_of_one(cached[0]).total()), f"{_ms(batch.each for batch in cached)}", ""],
        ["uncached token", "2", str((_of_one(cached[0]) + reads).total()), _ms(uncached), f"{ratio:.2f}"],
        ["the authorizer by itself", "1", str(reads.total()), _ms(batch.each for batch in judged), ""],
    ]
    columns = ["", "functions", "requests to AWS", "time at realistic latencies", "to cached"]
    figures = {
        "processorSeconds": Spread.of(added),
        "ratioToCached": ratio,
        "dollarsAMillion": invocation + costs.READ_UNIT * costs.MILLION,
    }
    return Section("authorizer", columns, rows, figures)


def _ms(seconds: "Iterator[float] | list[float]") -> str:
    return f"{Spread.of(seconds).median * 1000:.1f} ms"


def _of_one(batch: Batch) -> Counter[str]:
    """The requests of one call of the batch, which made the same for each."""
    calls = len(batch.seconds)
    if any(count % calls for count in batch.requests.values()):
        raise RuntimeError(f"{calls} calls sent {batch.requests}")
    return Counter({operation: count // calls for operation, count in batch.requests.items()})


def _million(sent: Counter[str], *, agenda: bool) -> float:
    """Dollars for a million times the requests ``sent``, at list prices of us-east-1."""
    writes = sent["PutItem"] * ITEM_UNITS + sent["UpdateItem"] * (ITEM_UNITS + (AGENDA_UNITS if agenda else 0))
    secrets = sum(count for operation, count in sent.items() if "Secret" in operation)
    return costs.MILLION * (
        writes * costs.WRITE_UNIT
        + sent["GetItem"] * READ_UNITS * costs.READ_UNIT
        + secrets * costs.SECRET_CALL
        + sent["PutEvents"] * costs.EVENT
    )


def _listed(sent: Counter[str]) -> str:
    return ", ".join(f"{count} {operation}" if count > 1 else operation for operation, count in sent.items())
