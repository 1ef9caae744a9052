"""The AWS that everything here runs against when there is no real one: roto, a simulator from PyPI."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.exceptions import ClientError

from chalicelib.phones import SipPhones
from chalicelib.settings import Settings
from chalicelib.tokens import ApiTokens

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

REGION = "eu-west-1"
START_SECONDS = 10


class LocalAwsFailed(Exception):
    """The simulator did not start. The text says why and what to do."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_taken(port: int) -> bool:
    """Whether somebody listens on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def simulator(port: int, *, data: Path | None, log: Path) -> Iterator[str]:
    """Runs roto on ``port`` and yields its URL; ends it afterwards.

    State is kept in the folder ``data``, or in memory only. Raises :class:`LocalAwsFailed`.
    """
    executable = shutil.which("roto-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if executable is None:
        raise LocalAwsFailed("roto-server is not installed: run `make install`")
    state = ["--ephemeral"] if data is None else ["--data-dir", str(data)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # In a session of its own, so that Ctrl-C reaches it through us, after the last request.
        server = subprocess.Popen(
            [executable, "--port", str(port), *state], stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not port_is_taken(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalAwsFailed(f"the local AWS did not start on port {port}: see {log}")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def use_local_credentials() -> None:
    """Credentials and a region for a simulator, unless the environment has its own."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")
    if not os.environ.get("AWS_REGION"):
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)


def create_resources(settings: Settings) -> None:
    """Creates the tables, their indexes and the event bus where they are missing, as the template does."""
    session = botocore.session.get_session()
    for table in (SipPhones, ApiTokens):
        if not table.exists():
            table.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
    _create_missing_indexes(session, settings)
    events = cast("EventBridgeClient", session.create_client("events", region_name=settings.region))
    try:
        events.create_event_bus(Name=settings.event_bus)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _create_missing_indexes(session: botocore.session.Session, settings: Settings) -> None:
    """Adds the indexes that a table which was kept from an earlier version does not have."""
    dynamodb: Any = session.create_client("dynamodb", region_name=settings.region)
    present = dynamodb.describe_table(TableName=settings.phones_table)["Table"].get("GlobalSecondaryIndexes", [])
    names = {index["IndexName"] for index in present}
    schema = SipPhones._get_schema()  # noqa: SLF001 - PynamoDB has no public way
    for index in schema["global_secondary_indexes"]:
        if index["index_name"] not in names:
            wanted = {
                "IndexName": index["index_name"],
                "KeySchema": index["key_schema"],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            dynamodb.update_table(
                TableName=settings.phones_table,
                AttributeDefinitions=schema["attribute_definitions"],
                GlobalSecondaryIndexUpdates=[{"Create": wanted}],
            )
