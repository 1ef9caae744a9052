"""A reset: how long it takes, how much processor time, and what the authorizer adds."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.contenders import OVER_HTTP, RAW, SERVICE, TWO_CALLS, Batch, authorizations, resets
from bench.figures import Aim, Section, Spread, ratios
from bench.fleet import Phones
from bench.processes import Processes
from bench.traffic import EVEN, NONE, REALISTIC
from ops import costs

LATENCIES = {"none": NONE, "20 ms": EVEN, "realistic": REALISTIC}
AIMS = {"20 ms": 1.6, "realistic": 1.25}
PROCESSOR_AIM = 1.25
PEERS = [name for name in OVER_HTTP if name != SERVICE]
CONTENDERS = [SERVICE, *PEERS, RAW, TWO_CALLS]


@dataclass(frozen=True)
class Rounds:
    """What was measured: for each kind of latency and contender, a batch a round; and the authorizer's."""

    batches: dict[str, dict[str, list[Batch]]]
    authorizer: dict[str, list[Batch]]


def measure(processes: Processes, phones: Phones, token: str, *, rounds: int) -> list[Section]:
    """Resets phones by way of every contender in turn, ``rounds`` times, and answers what that took."""
    for name in CONTENDERS:  # imports, connections
        processes[name].submit(resets, name, next(phones), NONE).result()
    made = Rounds(
        {kind: {name: [] for name in CONTENDERS} for kind in LATENCIES},
        {kind: [] for kind in LATENCIES},
    )
    for _ in range(rounds):
        for kind, latencies in LATENCIES.items():
            for name in CONTENDERS:
                batch = processes[name].submit(resets, name, next(phones), latencies).result()
                made.batches[kind][name].append(batch)
            judged = processes[SERVICE].submit(authorizations, token, len(batch.seconds), latencies).result()
            made.authorizer[kind].append(judged)
    return [latency(made), processor(made), authorizer(made)]


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


def authorizer(made: Rounds) -> Section:
    """What a request costs with a token that API Gateway remembers, and with one that the authorizer judges."""
    cached = made.batches["realistic"][SERVICE]
    judged = made.authorizer["realistic"]
    uncached = [done.each + token.each for done, token in zip(cached, judged, strict=True)]
    added = [batch.processor_each for batch in made.authorizer["none"]]
    reset, read = cached[0].requests_each.total(), judged[0].requests_each.total()
    ratio = ratios(uncached, [batch.each for batch in cached])
    invocation = costs.INVOCATION * costs.MILLION
    rows = [
        ["cached token", "1", str(reset), f"{_ms(batch.each for batch in cached)}", ""],
        ["uncached token", "2", str(reset + read), _ms(uncached), f"{ratio:.2f}"],
        ["the authorizer by itself", "1", str(read), _ms(batch.each for batch in judged), ""],
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
