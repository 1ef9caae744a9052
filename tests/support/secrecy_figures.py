"""How many secrets were looked for, in how many lines: by file of tests, and over several runs.

Each run replaces the figures of the files that it ran, in ``build/secrecy``. `make faults` prints the sums.
"""

import json
import threading
from collections import Counter
from collections.abc import Mapping

import pytest

from ops.gateway import PROJECT

FILE = PROJECT / "build" / "secrecy" / "figures.json"
ROWS = {"secrets looked for": "secrets", "lines searched": "lines"}


class Figures:
    """The figures of one run."""

    def __init__(self) -> None:
        self._by_file: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def add(self, file: str, figures: Mapping[str, int]) -> None:
        """Adds to those of a file of tests."""
        with self._lock:
            self._by_file.setdefault(file, Counter()).update(figures)

    def sentence(self) -> str:
        """All of them in a line."""
        figures = sum(self._by_file.values(), Counter())
        return f"secrecy: {figures['secrets']:,} secrets looked for in {figures['lines']:,} lines"

    def plain(self) -> dict[str, dict[str, int]]:
        """The figures by file."""
        return {file: dict(figures) for file, figures in self._by_file.items()}

    def keep(self) -> None:
        """Writes them down, with those that other runs left of other files."""
        runs: dict[str, dict[str, int]] = json.loads(FILE.read_text())["runs"] if FILE.exists() else {}
        runs.update(self.plain())
        runs = {file: figures for file, figures in runs.items() if (PROJECT / file).exists()}
        rows = [[name, f"{sum(run.get(figure, 0) for run in runs.values()):,}"] for name, figure in ROWS.items()]
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(json.dumps({"title": "Secrecy", "rows": rows, "runs": runs}, indent=2) + "\n")


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests of each file are run, and not a selection of them."""
    return not (config.option.keyword or config.option.markexpr or any("::" in name for name in config.args))
