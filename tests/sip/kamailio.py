"""Runs Kamailio with the very configuration that the documentation hands out."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ops.gateway import PROJECT
from ops.local_aws import free_port, port_is_taken
from tests.sip.phone import Address
from tests.support.debian import program

CONFIGURATION = PROJECT / "docs" / "examples" / "kamailio.cfg"
START_SECONDS = 20
STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Kamailio:
    """A registrar that is up."""

    address: Address
    events_url: str
    log: Path
    events_token: str = field(repr=False)


@contextmanager
def kamailio(folder: Path, *, feed: str, algorithm: str = "MD5") -> Iterator[Kamailio]:
    """Runs a registrar on free ports that asks ``feed``, a URL with the name and token to present."""
    sip, events = free_port(), free_port()
    token = secrets.token_urlsafe(24)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "kamailio.log"
    environment = {
        "PATH": os.defpath,
        "FEED_CONNECTION": feed,
        "EVENTS_TOKEN": token,
        "SIP_LISTEN": f"udp:127.0.0.1:{sip}",
        "EVENTS_LISTEN": f"tcp:127.0.0.1:{events}",
    }
    executable = program("kamailio")
    assert executable is not None
    with log.open("wb") as output:
        server = subprocess.Popen(
            [executable, "-DD", "-E", "-f", CONFIGURATION, "-Y", folder, "-A", f'ALGORITHM="{algorithm}"'],
            env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not port_is_taken(events):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Kamailio(("127.0.0.1", sip), f"http://127.0.0.1:{events}/events", log, token)
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and makes it: Kamailio 5.6 can hang when it is to stop just after it has started."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
