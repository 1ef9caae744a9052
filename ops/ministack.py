"""An AWS that runs the deployed artefact: ministack, a simulator from PyPI.

It has CloudFormation with the SAM transform, API Gateway, Step Functions and schedules that fire, and runs Lambda
functions as local processes with the Python that it runs on itself. It pins a botocore of its own, so it has a
virtual environment of its own. https://pypi.org/project/ministack/
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import urllib3

from ops.environments import python_with
from ops.gateway import PROJECT
from ops.local_aws import REGION, LocalAwsFailed, free_port

REQUIREMENTS = PROJECT / "requirements-ministack.txt"
HOME = PROJECT / ".local" / "ministack-venv"
START_SECONDS = 30
STOP_SECONDS = 10


@contextmanager
def ministack(log: Path) -> Iterator[str]:
    """Runs ministack on a free port and yields its URL; ends it and its functions' processes afterwards.

    Its state is in memory only. Raises :class:`LocalAwsFailed`.
    """
    python = python_with(REQUIREMENTS, HOME)
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    # It unpacks every function's archive here, once for each process that runs it.
    scratch = tempfile.mkdtemp(prefix="ministack-")
    # Functions inherit this environment, so there is nothing in it that they would not have in AWS. They find
    # the simulator by AWS_ENDPOINT_URL, which it sets for them from GATEWAY_PORT.
    environment = {
        "PATH": os.defpath,
        "HOME": scratch,
        "TMPDIR": scratch,
        "STATE_DIR": scratch,
        "LANG": "C.UTF-8",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": "true",  # every request needs its permission: the functions have no more than their roles
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",  # these two take fixed ports
        "IOT_MTLS_ENABLED": "0",
    }
    with log.open("wb") as output:
        # In a session of its own: its functions are in its process group, and are ended with it.
        server = subprocess.Popen(
            [str(python), "-P", str(Path(__file__).with_name("ministack_server.py"))],
            cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalAwsFailed(f"ministack did not start on port {port}: see {log}")
            time.sleep(0.1)
        yield url
    finally:
        _end(server)
        shutil.rmtree(scratch, ignore_errors=True)


def _healthy(url: str) -> bool:
    try:
        answer = urllib3.request("GET", f"{url}/_ministack/health", timeout=5, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == HTTPStatus.OK


def _end(server: subprocess.Popen[bytes]) -> None:
    """Asks the whole group to end, and makes what is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
