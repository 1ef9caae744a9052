"""How long the Lambda functions take to import."""

import statistics
import subprocess
import sys

import pytest

from ops.gateway import PROJECT

BUDGET_SECONDS = 1.0
"""Some seven times what a quiet machine needs: it catches a heavy new import, not a busy neighbour."""
RUNS = 5

MEASURE = """
import sys, time
start = time.perf_counter()
import app
print(time.perf_counter() - start, len(sys.modules), *sorted({name.split('.')[0] for name in sys.modules}))
"""


def test_importing_the_service_stays_in_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for _ in range(RUNS):
        output = subprocess.run(
            [sys.executable, "-c", MEASURE], cwd=PROJECT, check=True, capture_output=True, text=True
        ).stdout
        seconds, modules, *packages = output.split()
        runs.append(float(seconds))
    with capsys.disabled():
        print(
            f"\nimport of app.py and all it needs: median {statistics.median(runs) * 1000:.0f} ms "
            f"({min(runs) * 1000:.0f} to {max(runs) * 1000:.0f}) of {RUNS} runs, {modules} modules; "
            f"budget {BUDGET_SECONDS * 1000:.0f} ms"
        )
    assert statistics.median(runs) < BUDGET_SECONDS
    # What belongs to development only, or is too heavy for a cold start.
    assert not {"boto3", "pydantic", "jsonschema", "click", "rich", "yaml", "moto"} & set(packages)
