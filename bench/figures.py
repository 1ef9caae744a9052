"""Figures: medians with their spread, and the tables and aims that are made of them."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds of a measurement gave: the median, and from where to where."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of one value a round."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def ratios(values: Sequence[float], to: Sequence[float]) -> Spread:
    """The ratios of two measurements that were made in the same rounds."""
    return Spread.of(value / other for value, other in zip(values, to, strict=True))


@dataclass(frozen=True, slots=True)
class Aim:
    """What was aimed at, what was measured, and whether that will do."""

    text: str
    figure: str
    met: bool


@dataclass(frozen=True, slots=True)
class Section:
    """The answer to a question: a table, the aims, and the bare figures."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: dict[str, Any]
    aims: Sequence[Aim] = field(default_factory=list)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, with figures to the right."""
    aligned = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, aligned, *rows))
