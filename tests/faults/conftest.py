"""Faults between the SDK and AWS: roto is the engine, microburst stands in front of it and spoils answers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

import app
from chalicelib.settings import Settings
from ops.local_aws import create_resources, free_port, port_is_taken, simulator
from tests.support.aws import forget_clients

START_SECONDS = 20


class Faults:
    """The proxy's rules. https://pypi.org/project/microburst/"""

    def __init__(self, url: str) -> None:
        self._rules = f"{url}/_microburst/rules"

    def inject(self, *rules: dict[str, Any]) -> None:
        """Spoils what the rules match, and nothing else, from now on."""
        answer = urllib3.request("POST", self._rules, body=json.dumps(rules))
        assert answer.status == 200, answer.data

    def clear(self) -> None:
        """Lets everything through."""
        self.inject()


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    folder = tmp_path_factory.mktemp("faults")
    port = free_port()
    with (
        simulator(free_port(), data=None, log=folder / "roto.log") as engine,
        (folder / "microburst.log").open("w") as log,
        subprocess.Popen(
            [Path(sys.executable).parent / "microburst", "--upstream", engine, "--port", str(port)],
            stdout=log, stderr=log,
        ) as proxy,
    ):  # fmt: skip
        try:
            began = time.monotonic()
            while not port_is_taken(port):
                assert proxy.poll() is None
                assert time.monotonic() - began < START_SECONDS
                time.sleep(0.05)
            os.environ["AWS_ENDPOINT_URL"] = url = f"http://127.0.0.1:{port}"
            forget_clients()
            app.services()
            create_resources(Settings.from_env())
            yield Faults(url)
        finally:
            forget_clients()
            del os.environ["AWS_ENDPOINT_URL"]
            proxy.terminate()
