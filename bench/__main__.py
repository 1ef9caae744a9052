"""Measures everything, prints what was aimed at and what it is, and writes figures and pictures.

`make bench` writes `build/bench/figures.json`, the pictures, and the tables of `docs/performance.md`.
`make bench QUICK=1` measures a little of everything in less than a minute, and leaves the document as it is.
"""

import dataclasses
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from bench import cold_starts, fleet, growth, memory, pictures, requests, resets, rotations, scale
from bench.contenders import FOUR_STEP, SERVICE
from bench.document import filled
from bench.figures import Section, Spread, markdown
from bench.processes import process
from ops.gateway import PROJECT
from ops.local_aws import free_port, simulator, use_local_credentials

OUT = PROJECT / "build" / "bench"
DOCUMENT = PROJECT / "docs" / "performance.md"
PICTURES = PROJECT / "docs" / "pictures"
PARTS = ("resets", "cold-starts", "rotations", "growth")
LIBRARIES = ("botocore", "pynamodb", "chalice", "boto3", "fastapi", "mangum", "aws-lambda-powertools", "roto-aws")


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured."""

    phones: int
    rounds: int
    each: int
    cold_starts: int
    workers: tuple[int, ...]
    sweeps: int
    fleets: tuple[int, ...]
    samples: int
    every: int


FULL = Size(
    phones=2_000, rounds=11, each=10, cold_starts=9, workers=(1, 2, 4, 8, 16), sweeps=3,
    fleets=(1_000, 10_000, 100_000, 1_000_000), samples=10, every=1_000,
)  # fmt: skip
QUICK = Size(
    phones=200, rounds=2, each=5, cold_starts=1, workers=(1, 4), sweeps=1,
    fleets=(1_000, 10_000), samples=2, every=100,
)  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="A little of everything, in less than a minute.")
@click.option("--only", type=click.Choice(PARTS), help="One part; the document stays as it is.")
def main(*, quick: bool, only: str | None) -> None:
    """Measures this service against what people would use instead."""
    began = time.monotonic()
    use_local_credentials()
    os.environ["POWERTOOLS_SERVICE_NAME"] = "sip-credentials"
    OUT.mkdir(parents=True, exist_ok=True)
    sections = measured(QUICK if quick else FULL, [only] if only else PARTS)
    taken = time.monotonic() - began
    write(sections, taken)
    if not only:
        text = filled(DOCUMENT.read_text(), blocks(sections))
        if not quick:
            publish(text)
    show(sections)
    click.echo(f"{taken:.0f} s. Figures and pictures are in {OUT.relative_to(PROJECT)}.")


def measured(size: Size, parts: Sequence[str]) -> list[Section]:
    """The sections of ``parts``, measured one after another, each alone on the machine."""
    sections: list[Section] = []
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))

        def new_simulator() -> str:
            return cleanup.enter_context(simulator(free_port(), data=None, log=folder / "simulator.log"))

        os.environ["AWS_ENDPOINT_URL"] = new_simulator()
        ids = fleet.phone_ids(size.phones)
        phones = fleet.rounds(ids, size.each)
        with process() as importing:
            importing.submit(fleet.create, ids).result()
            token = importing.submit(fleet.issue_token).result()
        if "resets" in parts:
            click.echo("resets ...", err=True)
            with ExitStack() as running:
                processes = {name: running.enter_context(process()) for name in (*resets.CONTENDERS, FOUR_STEP)}
                sections += resets.measure(processes, phones, token, rounds=size.rounds)
                counted = requests.measure(processes, phones)
            sections += [counted, scale.section(counted.figures["requests"][SERVICE])]
        if "cold-starts" in parts:
            click.echo("cold starts ...", err=True)
            sections.append(cold_starts.measure(phones, folder, rounds=size.cold_starts))
        if "rotations" in parts:
            click.echo("rotations ...", err=True)
            sections.append(rotations.measure(ids, size.workers, rounds=size.sweeps))
        if "growth" in parts:
            click.echo("growth and memory ...", err=True)
            with ThreadPoolExecutor() as both:  # counts and bytes: they need not be alone
                grown = both.submit(growth.measure, size.fleets, new_simulator())
                sections.append(memory.measure(phones, samples=size.samples, every=size.every))
                sections.insert(-1, grown.result())
    return sections


def write(sections: Sequence[Section], seconds: float) -> None:
    """Writes `figures.json` and the pictures."""
    figures = {
        "machine": machine(),
        "seconds": round(seconds),
        "aims": [dataclasses.asdict(aim) for section in sections for aim in section.aims],
        **{section.name: section.figures for section in sections},
    }
    (OUT / "figures.json").write_text(json.dumps(figures, indent=2, default=dataclasses.asdict) + "\n")
    for section in sections:
        if (draw := DRAWN.get(section.name)) is not None:
            draw(section.figures)


def blocks(sections: Sequence[Section]) -> dict[str, str]:
    """What goes between the document's markers."""
    return {
        **{section.name: markdown(section.columns, section.rows) for section in sections},
        "machine": f"{described(machine())}.",
        "aims": markdown(AIM_COLUMNS, aim_rows(sections)),
    }


def publish(text: str) -> None:
    """Writes the document and its pictures."""
    DOCUMENT.write_text(text)
    PICTURES.mkdir(exist_ok=True)
    for picture in OUT.glob("*.svg"):
        (PICTURES / picture.name).write_bytes(picture.read_bytes())


def show(sections: Sequence[Section]) -> None:
    """Prints the aims, and on what machine they were measured."""
    console = Console()
    table = Table(box=box.SIMPLE)
    for column in AIM_COLUMNS:
        table.add_column(column)
    for row in aim_rows(sections):
        table.add_row(*row)
    console.print(table)
    console.print(described(machine()), highlight=False)


AIM_COLUMNS = ("aim", "here", "reached")


def aim_rows(sections: Sequence[Section]) -> list[tuple[str, str, str]]:
    """The aims of all sections."""
    return [(aim.text, aim.figure, "yes" if aim.met else "no") for section in sections for aim in section.aims]


def machine() -> dict[str, str]:
    """What was measured on."""
    processors = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": processors[0] if processors else platform.machine(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[2]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
    }


def described(machine: Mapping[str, str]) -> str:
    """A machine in a line."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _draw_latency(figures: dict[str, Any]) -> None:
    for kind, title in (("20 ms", "20 ms a call"), ("realistic", "realistic latencies")):
        pictures.bars(
            OUT / f"latency-{kind.replace(' ', '-')}.svg",
            f"Time of a reset, {title}: ratio to two calls",
            figures["ratioToTwoCalls"][kind],
            ".2f",
        )


def _draw_cold_starts(figures: dict[str, Any]) -> None:
    pictures.bars(
        OUT / "cold-starts.svg",
        "Process start to first answer, in ms",
        {name: Spread.of(value * 1000 for value in values) for name, values in figures["seconds"].items()},
        ".0f",
    )


def _draw_rotations(figures: dict[str, Any]) -> None:
    measured_rates = {workers: Spread.of(rates).median for workers, rates in figures["rates"].items()}
    pictures.lines(
        OUT / "rotations.svg",
        "Rotations a second at realistic latencies",
        {
            SERVICE: measured_rates,
            "ideal": {workers: workers / rotations.IDEAL_SECONDS for workers in measured_rates},
            FOUR_STEP: {rotations.JUDGED: Spread.of(figures["fourStepRates"]).median},
        },
        x_title="workers",
        y_title="rotations a second",
    )


DRAWN: dict[str, Callable[[dict[str, Any]], None]] = {
    "latency": _draw_latency,
    "cold-starts": _draw_cold_starts,
    "rotations": _draw_rotations,
}

if __name__ == "__main__":
    main()
