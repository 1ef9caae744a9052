"""Memory: what the function's process takes up after many resets."""

import os
from pathlib import Path

from bench.contenders import SERVICE, resets
from bench.figures import Aim, Section
from bench.fleet import Phones
from bench.processes import process
from bench.traffic import NONE

MOST_GROWTH = 1.05


def measure(phones: Phones, *, samples: int, every: int) -> Section:
    """Makes ``samples`` times ``every`` resets in one process, and looks at its memory after each sample."""
    taken: dict[int, int] = {}
    made = 0
    with process() as resetting:
        for _ in range(samples):
            while made < (len(taken) + 1) * every:
                batch = next(phones)
                resetting.submit(resets, SERVICE, batch, NONE).result()
                made += len(batch)
            taken[made] = resetting.submit(resident_bytes).result()
    first, last = min(taken), max(taken)
    growth = taken[last] / taken[first]
    aim = Aim(
        f"memory after {last:,} resets: at most {MOST_GROWTH} times that after {first:,}",
        f"{growth:.3f}",
        growth <= MOST_GROWTH,
    )
    rows = [[f"{resets_made:,}", f"{size / 1e6:.1f} MB"] for resets_made, size in taken.items()]
    return Section("memory", ["resets", "resident memory"], rows, {"bytes": taken}, [aim])


def resident_bytes() -> int:
    """The memory of this process that is in RAM (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
