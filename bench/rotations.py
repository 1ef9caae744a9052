"""Scheduled rotation: phones rotated in a second by number of workers, against the ideal and the peer."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from time import perf_counter

from bench import fleet
from bench.contenders import DIRECT, FOUR_STEP
from bench.figures import Aim, Section, Spread, ratios
from bench.processes import process
from bench.traffic import REALISTIC, traffic

JUDGED = 4
SHARE_AIM = 0.9
FOUR_STEP_AIM = 5

IDEAL_SECONDS = 2 * REALISTIC["dynamodb"] + REALISTIC["secrets-manager"]
"""A rotation whose calls take their latencies, while nothing else takes any time: commit, copy, settle. The
announcement is made beside the copy, and is quicker."""


def measure(ids: Sequence[str], numbers: Sequence[int], *, rounds: int) -> Section:
    """Rotates phones with each of ``numbers`` of workers, and in four steps: all of them with `JUDGED` workers."""
    batches = {workers: ids if workers == JUDGED else ids[: len(ids) // 20 * workers] for workers in numbers}
    with ExitStack() as cleanup:
        processes = {
            workers: cleanup.enter_context(
                process({**fleet.NO_GRACE, "TEND_WORKERS": str(workers), "TEND_RATE_PER_SECOND": "1000000"})
            )
            for workers in numbers
        }
        others = cleanup.enter_context(process())
        sweeps: dict[int, list[fleet.Sweep]] = {workers: [] for workers in numbers}
        four_step: list[float] = []
        for workers in numbers:  # imports, connections
            processes[workers].submit(fleet.sweep, ids[:workers], REALISTIC).result()
        others.submit(four_step_rate, ids[:JUDGED], JUDGED).result()
        for _ in range(rounds):
            for workers in numbers:
                swept = processes[workers].submit(fleet.sweep, batches[workers], REALISTIC).result()
                sweeps[workers].append(swept)
            four_step.append(others.submit(four_step_rate, ids[: len(ids) // 20], JUDGED).result())
    return section(sweeps, four_step)


def four_step_rate(ids: Sequence[str], workers: int) -> float:
    """Phones that the four-step function rotates in a second, ``workers`` at once."""
    module, attribute = DIRECT[FOUR_STEP]
    rotate = getattr(import_module(module), attribute)
    with traffic.measured(REALISTIC), ThreadPoolExecutor(workers) as pool:
        began = perf_counter()
        for _ in pool.map(rotate, ids):
            pass
        return len(ids) / (perf_counter() - began)


def section(sweeps: dict[int, list[fleet.Sweep]], four_step: list[float]) -> Section:
    """Rates, shares of the ideal, and how busy the processor was."""
    rates = {workers: [swept.rotated / swept.seconds for swept in made] for workers, made in sweeps.items()}
    shares = {
        workers: Spread.of(rate * IDEAL_SECONDS / workers for rate in made) for workers, made in rates.items()
    }
    rows = [
        [
            str(workers),
            f"{Spread.of(rates[workers]):.0f}",
            f"{workers / IDEAL_SECONDS:.0f}",
            f"{shares[workers]:.0%}",
            f"{Spread.of(swept.processor_seconds / swept.rotated for swept in made).median * 1000:.1f} ms",
            f"{Spread.of(swept.processor_seconds / swept.seconds for swept in made).median:.0%}",
            f"{sum(swept.late for swept in made) / sum(swept.requests.total() for swept in made):.0%}",
        ]
        for workers, made in sweeps.items()
    ]
    rows.append([f"{FOUR_STEP}, {JUDGED}", f"{Spread.of(four_step):.1f}", "", "", "", "", ""])
    share, ratio = shares[JUDGED], ratios(rates[JUDGED], four_step)
    aims = [
        Aim(
            f"rotations with {JUDGED} workers: at least {SHARE_AIM:.0%} of the ideal",
            f"{share.median:.0%}",
            share.median >= SHARE_AIM,
        ),
        Aim(
            f"rotations with {JUDGED} workers: at least {FOUR_STEP_AIM} times the four-step function",
            f"{ratio.median:.1f}",
            ratio.median >= FOUR_STEP_AIM,
        ),
    ]
    columns = [
        "workers",
        "rotations a second",
        "ideal",
        "share of the ideal",
        "processor time each",
        "processor busy",
        "late calls",
    ]
    figures = {"rates": rates, "shares": shares, "fourStepRates": four_step, "ratioToFourStep": ratio}
    return Section("rotations", columns, rows, figures, aims)
