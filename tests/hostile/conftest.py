"""One server for all of it, and a count of what was sent, which ends up in `build/faults/hostile.json`."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import figures

Sent = Counter[str]


@pytest.fixture(scope="session")
def sent() -> Iterator[Sent]:
    """Counts what was sent, by kind, in the order of the table."""
    counts: Sent = Counter()
    yield counts
    figures.write("hostile", "Hostile input", [(kind, f"{count:,}") for kind, count in counts.items()])
