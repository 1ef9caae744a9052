"""`make run`, as a program on free ports."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.gateway import PROJECT
from ops.local_aws import free_port, port_is_taken

HANG_SECONDS = 60


@dataclass(frozen=True)
class Running:
    """A service that runs: its run.json, how long that took to come, and its process."""

    run: dict[str, Any]
    seconds: float
    pid: int


def start(folder: Path, *, port: int, aws_port: int, **environment: str) -> subprocess.Popen[bytes]:
    """Starts the program; what it prints goes to a file, since nobody reads while it runs."""
    inherited = {name: value for name, value in os.environ.items() if name != "AWS_ENDPOINT_URL"}
    with _output(folder).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "ops.run", "--folder", str(folder)],
            cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT,
            env={**inherited, "PORT": str(port), "AWS_PORT": str(aws_port), **environment},
        )  # fmt: skip


def ended(program: subprocess.Popen[bytes], folder: Path) -> tuple[int, str]:
    """Its exit status and all that it printed, once it has ended."""
    return program.wait(timeout=HANG_SECONDS), _output(folder).read_text()


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Running]:
    """The program from its first reset to Ctrl-C, after which nothing of it is left but its state."""
    port, aws_port = free_port(), free_port()
    began = time.monotonic()
    program = start(folder, port=port, aws_port=aws_port, **environment)
    run_file = folder / "run.json"
    try:
        while not run_file.exists():
            assert program.poll() is None, _output(folder).read_text()
            assert time.monotonic() - began < HANG_SECONDS
            time.sleep(0.02)
        yield Running(json.loads(run_file.read_text()), time.monotonic() - began, program.pid)
        program.send_signal(signal.SIGINT)
        status, output = ended(program, folder)
    finally:
        program.kill()
        program.wait()
    assert status == 0, output
    assert output.endswith("Stopped.\n")
    assert not run_file.exists()
    assert not port_is_taken(port)
    assert not port_is_taken(aws_port)


def _output(folder: Path) -> Path:
    return folder / "output.txt"
