"""Where tests leave the figures that `make faults` prints in the end: `build/faults/<name>.json`."""

import json
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "build" / "faults"


def write(name: str, title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Replaces the figures ``name``: a title, and rows of what was measured and what it was."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"title": title, "rows": [*rows]}, indent=2) + "\n")
