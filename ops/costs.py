"""What a deployment costs a month: counted calls times list prices.

The calls are those that `tests/unit/test_calls.py` and `tests/unit/test_tending.py` count. The prices are those of
us-east-1 in US dollars, from the services' pricing pages; free tiers and taxes are left out.
"""

from dataclasses import dataclass

import click
from rich import box
from rich.console import Console
from rich.table import Table

MILLION = 1_000_000
HOURS = 730
SWEEPS = HOURS * 12  # every five minutes

SECRET_A_MONTH = 0.40  # https://aws.amazon.com/secrets-manager/pricing/
SECRET_CALL = 0.05 / 10_000
WRITE_UNIT = 0.625 / MILLION  # https://aws.amazon.com/dynamodb/pricing/on-demand/
READ_UNIT = 0.125 / MILLION
TABLE_GB = 0.25 + 0.20  # storage and point-in-time recovery
EVENT = 1.00 / MILLION  # https://aws.amazon.com/eventbridge/pricing/
INVOCATION = 0.20 / MILLION  # https://aws.amazon.com/lambda/pricing/
GB_SECOND = 0.0000133334  # arm64
API_REQUEST = 3.50 / MILLION  # https://aws.amazon.com/api-gateway/pricing/
LOG_GB = 0.50  # https://aws.amazon.com/cloudwatch/pricing/
METRIC = 0.30
ALARM = 0.10
DASHBOARD = 3.00

# A commit and a settle: each writes an item of up to 2 KB, and moves its entry in the agenda: one unit to take it
# out and one to put it in.
WRITE_UNITS_A_RESET = 2 * (2 + 2)
SECRET_CALLS_A_RESET = 1
READ_UNITS_A_SWEEP = 16 * 0.5  # one query a shard
SECONDS_A_RESET = 0.1
SECONDS_A_SWEEP = 0.5
LOG_BYTES_A_RESET = 3_000
ITEM_BYTES = 2_500
ALARMS = 7
METRICS = 15


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many phones, how often each is rotated by schedule, and which share is reset on demand in a month."""

    phones: int
    rotation_days: int = 90
    on_demand: float = 0.01


def monthly(fleet: Fleet) -> dict[str, float]:
    """The costs of a month by service, in dollars."""
    rotations = fleet.phones * 365 / 12 / fleet.rotation_days
    requests = fleet.phones * fleet.on_demand
    resets = rotations + requests
    seconds = resets * SECONDS_A_RESET + SWEEPS * SECONDS_A_SWEEP
    return {
        "Secrets Manager, secrets": fleet.phones * SECRET_A_MONTH,
        "Secrets Manager, calls": resets * SECRET_CALLS_A_RESET * SECRET_CALL,
        "DynamoDB": (
            resets * WRITE_UNITS_A_RESET * WRITE_UNIT
            + SWEEPS * READ_UNITS_A_SWEEP * READ_UNIT
            + fleet.phones * ITEM_BYTES / 1e9 * TABLE_GB
        ),
        "EventBridge": resets * EVENT,
        "Lambda": (2 * requests + SWEEPS) * INVOCATION + seconds * GB_SECOND,
        "API Gateway": requests * API_REQUEST,
        "CloudWatch": ALARMS * ALARM + METRICS * METRIC + DASHBOARD + resets * LOG_BYTES_A_RESET / 1e9 * LOG_GB,
    }


@click.command()
@click.option("--rotation-days", default=90, show_default=True, help="How often each phone is rotated.")
@click.argument("phones", type=int, nargs=-1)
def main(rotation_days: int, phones: tuple[int, ...]) -> None:
    """Print what PHONES cost a month; 100, 10,000 and 100,000 if none are given."""
    fleets = [Fleet(number, rotation_days) for number in phones or (100, 10_000, 100_000)]
    columns = [monthly(fleet) for fleet in fleets]
    table = Table(box=box.MARKDOWN)
    table.add_column("US dollars a month")
    for fleet in fleets:
        table.add_column(f"{fleet.phones:,} phones", justify="right")
    for service in columns[0]:
        table.add_row(service, *(f"{costs[service]:,.2f}" for costs in columns))
    table.add_row("together", *(f"{sum(costs.values()):,.2f}" for costs in columns))
    table.add_row(
        "without the secrets",
        *(f"{sum(costs.values()) - costs['Secrets Manager, secrets']:,.2f}" for costs in columns),
    )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
