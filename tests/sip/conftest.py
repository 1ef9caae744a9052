"""The service, registrars that ask it, and the figures of the run."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ops.gateway import PROJECT
from tests.sip.kamailio import Kamailio, kamailio
from tests.sip.service import Event, Service
from tests.sip.service import service as running_service
from tests.support.debian import missing
from tests.support.examples import example

RESULTS = PROJECT / "build" / "sip"

_figures: dict[str, Any] = {}


@pytest.fixture(scope="session")
def figures() -> dict[str, Any]:
    """What was measured, by what it is. It is printed at the end, and written to build/sip/figures.json."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _figures:
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "figures.json").write_text(json.dumps(_figures, indent=2) + "\n")
    terminalreporter.section("figures")
    width = max(len(name) for name in _figures)
    for name, value in _figures.items():
        terminalreporter.write_line(
            f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value}"
        )
    terminalreporter.write_line(f"\nwritten to {(RESULTS / 'figures.json').relative_to(PROJECT)}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    assert not missing("sip"), "run `make sip`"
    with running_service(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="session")
def registrar(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    """Kamailio, asking for MD5."""
    with kamailio(tmp_path_factory.mktemp("kamailio"), feed=service.feed) as started:
        yield started


@pytest.fixture(scope="session")
def tell(registrar: Kamailio) -> Iterator[Callable[[Event], None]]:
    """Hands an event to the example's notifier, which has ``registrar`` tell the phone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRAR_EVENTS_URL", registrar.events_url)
        environment.setenv("EVENTS_TOKEN", registrar.events_token)
        handler = example("notify_phone").handler
        yield lambda event: handler(event, None)


@pytest.fixture(scope="session")
def sha256_registrar(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    """Kamailio, asking for SHA-256."""
    with kamailio(tmp_path_factory.mktemp("sha256"), feed=service.feed, algorithm="SHA-256") as started:
        yield started


@pytest.fixture
def phone_id(service: Service) -> str:
    """A phone that no other test touches."""
    (phone,) = service.add_phones(1)
    return phone
