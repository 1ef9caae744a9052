"""Every test that asks for ``engine`` runs on moto and on roto, unless it is marked for one of them."""

import io
import json
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from hypothesis import settings as hypothesis_settings

os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="eu-west-1",
    POWERTOOLS_SERVICE_NAME="sip-credentials",
)

from chalicelib.telemetry import logger
from tests.support.api import Api, ChaliceApi, http_api
from tests.support.aws import Wire, engine_running
from tests.support.aws import wire as the_wire
from tests.support.fleet import delete_all_phones
from tests.support.secrecy import Secrecy

hypothesis_settings.register_profile("project", deadline=None, derandomize=True, stateful_step_count=40)
hypothesis_settings.register_profile("long", deadline=None, max_examples=5_000)
hypothesis_settings.load_profile("project")

ENGINES = ("moto", "roto")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine(name): the behaviour needs this engine; says why in the test")
    config.pluginmanager.register(Secrecy(), "secrecy")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("engine")
        metafunc.parametrize("engine", marker.args if marker else ENGINES, indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def _no_secrets_in_files(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files that tests leave are searched when all are done."""
    yield
    if isinstance(secrecy := pytestconfig.pluginmanager.get_plugin("secrecy"), Secrecy):
        secrecy.search_files(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with engine_running(request.param) as name:
        yield name


@pytest.fixture(scope="session")
def api(engine: str) -> Iterator[Api]:
    """The API: in this process on moto, over HTTP on roto."""
    if engine == "moto":
        yield ChaliceApi()
    else:
        with http_api() as served:
            yield served


@pytest.fixture
def wire(engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The requests to AWS; the SDK retries without waiting."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
    assert the_wire.engine == engine
    the_wire.mend()
    yield the_wire
    the_wire.mend()


@pytest.fixture
def no_phones(engine: str) -> None:
    """An empty table, for tests of what reads all of it."""
    assert engine
    delete_all_phones()


@pytest.fixture(scope="session")
def aws_client(engine: str) -> Callable[[str], Any]:
    """Plain clients of the engine, to see what the service left there."""
    session = botocore.session.get_session()
    clients = {name: session.create_client(name) for name in ("secretsmanager", "events", "dynamodb")}
    assert engine in ENGINES
    return clients.__getitem__


@pytest.fixture(scope="session")
def mirrored(aws_client: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    """Reads the current copy of a phone's pair, with the id of its version."""

    def read(phone_id: str) -> dict[str, Any]:
        value = aws_client("secretsmanager").get_secret_value(SecretId=f"sip-phones/{phone_id}")
        return {**json.loads(value["SecretString"]), "versionId": value["VersionId"]}

    return read


@pytest.fixture
def service_log(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines of the service's log, parsed, as they are written."""
    lines: list[dict[str, Any]] = []

    class Collector(io.StringIO):
        def write(self, text: str) -> int:
            lines.extend(json.loads(line) for line in text.splitlines() if line)
            return len(text)

    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", Collector())
    return lines
