"""What the commands show: records on standard output, everything else on standard error.

On a terminal records are laid out for people. In a pipe each record is one line of JSON, and stays as it is.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

MASK = "********"
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d\.\d{3}Z")
SECRETS = ("username", "password")


def on_terminal() -> bool:
    """Whether a person reads the records."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False) -> Console:
    """Where people read. Colours follow ``NO_COLOR``."""
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Tells a person something that is no record."""
    click.echo(text, err=True)


def show(record: Mapping[str, Any]) -> None:
    """Shows one record."""
    if on_terminal():
        console().print_json(data=record, ensure_ascii=False)
    else:
        click.echo(json.dumps(record, ensure_ascii=False))


def show_all(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> int:
    """Shows records and returns how many there were. ``columns`` has the headings of the properties for people."""
    if not on_terminal():
        shown = 0
        for record in records:
            show(record)
            shown += 1
        return shown
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for place, heading in enumerate(columns.values()):
        table.add_column(heading, overflow="fold", no_wrap=place == 0)  # the first is the id, to be copied whole
    for record in records:
        table.add_row(*(_cell(record.get(name)) for name in columns))
    if table.row_count:
        Console(highlight=False, markup=False).print(table)
    return table.row_count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return _TIMESTAMP.sub(r"\1 \2", value) if isinstance(value, str) else json.dumps(value)


def masked(document: Mapping[str, Any], *, reveal: bool) -> dict[str, Any]:
    """A phone's document as it may be shown: without its username and password, unless ``reveal``."""
    hidden = {} if reveal else {name: MASK for name in SECRETS if name in document}
    return {**document, **hidden}


class Meter:
    """How far a long command is."""

    def __init__(self, bar: Progress, what: str, total: int | None, *, every: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=total or None)
        self._every = every
        self._position = 0
        self.phones = 0

    def advance(self, phones: int, *, position: int | None = None) -> None:
        """Counts ``phones`` more, and moves on to ``position`` of the total, where that counts something else."""
        before, self.phones = self.phones, self.phones + phones
        self._bar.update(self._task, completed=self.phones if position is None else position)
        if self._every is not None and self.phones // self._every != before // self._every:
            self.say(f"{self.phones // self._every * self._every:,} phones")

    def say(self, text: str) -> None:
        """Tells a person something, above the bar."""
        self._bar.console.print(text)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def meter(what: str, total: int | None, *, every: int = 10_000, hidden: bool = False) -> Iterator[Meter]:
    """Shows a bar with rate and remaining time on a terminal, elsewhere a line for ``every`` so many phones.

    Nothing at all when it is ``hidden``.
    """
    out = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
    )
    # Records that go into a pipe must not end up beside the bar.
    bar = Progress(
        *columns, console=out, transient=True, disable=hidden or not out.is_terminal, redirect_stdout=on_terminal()
    )
    with bar:
        yield Meter(bar, what, total, every=None if hidden or out.is_terminal else every)
