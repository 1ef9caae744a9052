"""Growth: what a sweep of 500 due phones asks of AWS, by the size of the fleet."""

from collections.abc import Sequence

from bench import fleet
from bench.figures import Aim, Section
from bench.fleet import Sweep
from bench.processes import process
from bench.traffic import NONE
from chalicelib.phones import SipPhones

DUE = 500
SIMULATOR_SECONDS = 120


def measure(sizes: Sequence[int], endpoint: str) -> Section:
    """Grows a fleet at ``endpoint`` to each of ``sizes`` in turn, and sweeps it when 500 of its phones are due."""
    ids = fleet.phone_ids(DUE)
    sweeps: dict[int, Sweep] = {}
    there = {**fleet.NO_GRACE, "AWS_ENDPOINT_URL": endpoint}
    with process(there) as sweeping, process(there) as filling:
        sweeping.submit(wait_for_scans).result()
        sweeping.submit(fleet.create, ids).result()
        present = DUE
        for size in sizes:
            filling.submit(fleet.fill, size - present, first=present).result()
            present = size
            sweeps[size] = sweeping.submit(fleet.sweep, ids, NONE).result()
    rows = [
        [
            f"{size:,}",
            str(swept.rotated),
            str(swept.requests["Query"]),
            str(swept.items),
            str(swept.requests.total() - swept.requests["Query"]),
            f"{swept.requests.total() / swept.rotated:.2f}",
        ]
        for size, swept in sweeps.items()
    ]
    asked = [(dict(swept.requests), swept.items) for swept in sweeps.values()]
    aim = Aim(
        "requests and items read for 500 due phones: the same however large the fleet",
        ", ".join(str(sum(requests.values())) for requests, _ in asked),
        all(one == asked[0] for one in asked),
    )
    columns = ["phones", "due, rotated", "queries", "items read", "other requests", "requests a rotation"]
    figures = {str(size): {"requests": swept.requests, "itemsRead": swept.items} for size, swept in sweeps.items()}
    return Section("growth", columns, rows, figures, [aim])


def wait_for_scans() -> None:
    """Makes the service wait for the simulator, which looks at every item where DynamoDB asks its index."""
    SipPhones.Meta.read_timeout_seconds = SIMULATOR_SECONDS
