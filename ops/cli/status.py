"""``./phones status``: the fleet at a glance."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table

from ops.chart import draw
from ops.cli.options import pass_deployment
from ops.cli.output import console, meter, on_terminal
from ops.deployments import Deployment
from ops.status import Group, Scan, Status, look

WATCH_SECONDS = 10
BAR = 40


@click.command()
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    is_flag=False,
    flag_value=WATCH_SECONDS,
    metavar="[SECONDS]",
    help=f"Look again and again until Ctrl-C, {WATCH_SECONDS} seconds after each look if not said otherwise.",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON, on a terminal too.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Also draw the ages of the credentials and the due dates of the next cycle.",
)
@pass_deployment
def status(deployment: Deployment, /, watch: float | None, as_json: bool, chart: Path | None) -> None:
    """Show the fleet at a glance.

    Ages of the credentials, due dates, and what waits. Reads the whole table, in parallel and no more than it
    needs, and says how long that took and what it cost.

    \b
    Example:
      ./phones --local status
      ./phones --local status --json --chart fleet.svg
    """
    looks = _looks(deployment, watch, chart)
    if as_json or not on_terminal():
        for seen, scan in looks:
            click.echo(json.dumps(seen.record(scan)))
        return
    picture = _picture(*next(looks))
    if watch is None:
        console().print(picture)
        return
    with Live(picture, console=console(), auto_refresh=False) as live:
        for seen, scan in looks:
            live.update(_picture(seen, scan), refresh=True)


def _looks(deployment: Deployment, watch: float | None, chart: Path | None) -> Iterator[tuple[Status, Scan]]:
    """One look at the fleet, or one after another with ``watch`` seconds between them."""
    fleet, days = deployment.fleet, deployment.settings.rotation_days
    while True:
        with meter("Reading", fleet.size().phones, hidden=watch is not None) as bar:
            seen, scan = look(fleet, fleet_days=days, now=deployment.clock(), seen=bar.advance)
        if chart is not None:
            chart.write_text(draw(seen, fleet_days=days), encoding="utf-8")
        yield seen, scan
        if watch is None:
            return
        time.sleep(watch)


def _picture(seen: Status, scan: Scan) -> Table:
    lines = Table.grid(padding=(0, 2))
    lines.add_column()
    lines.add_column(justify="right")
    lines.add_column()
    lines.add_row("phones", f"{seen.everybody.phones:,}", f"at {seen.at:%Y-%m-%d %H:%M:%S} UTC")
    units = f"{scan.read_units:,.1f} read units" + ("" if scan.measured else ", computed from the table's size")
    lines.add_row("", "", f"{scan.requests:,} requests, {scan.seconds:.1f} s, {units}")
    lines.add_section()
    lines.add_row("age of credentials")
    most = max(1, *(phones for _, _, phones in seen.ages()))
    for begin, end, phones in seen.ages():
        lines.add_row(f"  {_days(begin, end)}", f"{phones:,}", "█" * round(BAR * phones / most))
    lines.add_row("due")
    for name, group, since in (
        ("overdue", seen.overdue, "since"),
        ("in a day", seen.due_in_a_day, "from"),
        ("in a week", seen.due_in_a_week, "from"),
        ("later", seen.due_later, "from"),
    ):
        lines.add_row(f"  {name}", f"{group.phones:,}", _oldest(group, since))
    lines.add_row("  never", f"{seen.never_due.phones:,}")
    lines.add_row("waiting")
    for name, group in (
        ("unsettled", seen.unsettled),
        ("in grace", seen.in_grace),
        ("failing", seen.failing),
        ("without a pair", seen.without_pair),
    ):
        lines.add_row(f"  {name}", f"{group.phones:,}", _oldest(group, "changed"))
    lines.add_row("oldest", "", _oldest(seen.everybody, "changed"))
    return lines


def _days(begin: int, end: int | None) -> str:
    if end is None:
        return f"{begin} days and more"
    return "under a day" if begin == 0 else f"{begin} to {end} days"


def _oldest(group: Group, since: str) -> str:
    return "" if group.oldest_at is None else f"{since} {group.oldest_at:%Y-%m-%d %H:%M} UTC: {group.oldest_id}"
