"""The spoilt AWS that tests share, and the matrix as a table in the end."""

from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.faults.matrix import CALLS, FAULTS, Cell, as_table
from tests.faults.spoilt_aws import Estate, Proxy, spoilt_aws
from tests.support import figures

_cells: dict[tuple[str, str, str], Cell] = {}


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Estate]]:
    with spoilt_aws(tmp_path_factory.mktemp("faults")) as proxy_and_estate:
        yield proxy_and_estate


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collects the cells of the matrix, from whichever process ran them."""
    for name, value in report.user_properties:
        if report.when == "call" and name == "cell" and isinstance(value, dict):
            cell = Cell(**(value | {"green": report.passed}))
            _cells[cell.entry, cell.call, cell.fault] = cell


def pytest_terminal_summary() -> None:
    if _cells:
        Console(width=220).print(as_table(_cells))
        green = sum(cell.green for cell in _cells.values())
        cells = len(CALLS) * len(FAULTS)
        figures.write(
            "matrix", "Fault matrix", [("AWS calls", len(CALLS)), ("cells green", f"{green} of {cells}")]
        )
