"""The figures that tests leave: in `build/faults` those of what can go wrong, which this program prints as one table.

In its end are those of the recorder of `tests/support/secrecy.py`, over all tests that were run.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ops.gateway import PROJECT
from tests.support import secrecy_figures

FOLDER = PROJECT / "build" / "faults"


def write(subject: str, title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Replaces the figures of ``subject``: a title, and rows of what was measured and what it was."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures = {"title": title, "rows": [[name, str(value)] for name, value in rows]}
    (FOLDER / f"{subject}.json").write_text(json.dumps(figures, indent=2) + "\n")


def table(subject: str = "*", *more: Path) -> Table:
    """The figures of ``subject``, or of all that left some, and those of the files ``more`` that exist."""
    shown = Table("figure", "value")
    for file in [*sorted(FOLDER.glob(f"{subject}.json")), *filter(Path.exists, more)]:
        figures = json.loads(file.read_text())
        shown.add_section()
        shown.add_row(f"[bold]{figures['title']}", "")
        for name, value in figures["rows"]:
            shown.add_row(f"  {name}", value)
    return shown


if __name__ == "__main__":
    Console(width=100).print(table("*", secrecy_figures.FILE))
