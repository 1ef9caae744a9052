"""Beyond one region: what the counted requests mean for fleets that are too large to measure."""

from collections import Counter
from datetime import timedelta

from bench.figures import Section
from chalicelib.settings import Settings
from ops import costs

FLEETS = (1_000_000, 100_000_000)
ROTATION_DAYS = 90
SWEEP = timedelta(minutes=5)

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html: neither can be raised.
SECRETS = 500_000
SECRET_WRITES = 50
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html: a table; can be raised.
WRITE_UNITS = 40_000
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html: a small region; can be raised.
EVENTS = 600


def section(rotation: Counter[str]) -> Section:
    """What fleets ask of a region whose rotations send the requests that were counted."""
    columns = [_column(phones, rotation) for phones in FLEETS]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    figures = {str(phones): column for phones, column in zip(FLEETS, columns, strict=True)}
    return Section("scale", ["", *(f"{phones:,} phones" for phones in FLEETS)], rows, figures)


def _column(phones: int, rotation: Counter[str]) -> dict[str, str]:
    a_second = phones / timedelta(days=ROTATION_DAYS).total_seconds()
    a_month = a_second * timedelta(hours=costs.HOURS).total_seconds()
    copies = rotation["PutSecretValue"]
    pace = Settings().tend_rate_per_second
    month = costs.monthly(costs.Fleet(phones, ROTATION_DAYS))
    secrets = month["Secrets Manager, secrets"]
    return {
        "rotations a second, all year": f"{a_second:.2f}",
        "due in a sweep": f"{a_second * SWEEP.total_seconds():,.0f}",
        "a sweep at its pace": f"{a_second * SWEEP.total_seconds() / pace:.0f} s",
        f"of {SECRET_WRITES} secret writes a second": f"{a_second * copies / SECRET_WRITES:.1%}",
        f"of {WRITE_UNITS:,} write units a second": f"{a_second * costs.WRITE_UNITS_A_RESET / WRITE_UNITS:.2%}",
        f"of {EVENTS} events a second": f"{a_second * rotation['PutEvents'] / EVENTS:.1%}",
        f"of {SECRETS:,} secrets": f"{phones / SECRETS:,.0f} times",
        "everybody once, at that pace": _lasting(phones / pace),
        "requests to AWS a month": f"{a_month * rotation.total():,.0f}",
        "a month costs": f"{sum(month.values()):,.0f} $",
        "of which secrets": f"{secrets:,.0f} $",
        "without them": f"{sum(month.values()) - secrets:,.0f} $",
    }


def _lasting(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - reads better from then on
