"""The operators' command line, as a program: in a pipe and on a terminal."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.telemetry import logger
from ops.cli.program import main
from ops.gateway import PROJECT

PROGRAM = [sys.executable, "-m", "ops.cli"]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment and ``variables``. An empty variable is one that is not set."""
    merged = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200", **variables}
    return {name: value for name, value in merged.items() if value}


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def phones(*arguments: str, stdin: str = "") -> Done:
    """Runs ``./phones`` in this process, its output in pipes."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.stdin", io.StringIO(stdin))
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        level = logger.log_level
        try:
            main(arguments)
        except SystemExit as end:
            return Done(int(end.code or 0), out.getvalue(), err.getvalue())
        finally:
            logger.setLevel(level)


def program(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs ``./phones`` as a program of its own, in an environment of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=PROJECT, input=stdin, capture_output=True, text=True, check=False, env=environment(**variables),
    )  # fmt: skip


def records(*arguments: str, stdin: str = "") -> list[dict[str, Any]]:
    """The records that ``./phones`` prints when it succeeds."""
    done = phones(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def record(*arguments: str, stdin: str = "") -> dict[str, Any]:
    """The only record that ``./phones`` prints when it succeeds."""
    (only,) = records(*arguments, stdin=stdin)
    return only


def on_a_terminal(*arguments: str, typed: str = "", **variables: str) -> tuple[int, str]:
    """Runs ``./phones`` on a terminal: its exit status, and all that is shown, colours included."""
    ours, terminal = pty.openpty()
    with (
        os.fdopen(ours, "r+b", buffering=0) as shown,
        subprocess.Popen(
            [*PROGRAM, *arguments], cwd=PROJECT, stdin=terminal, stdout=terminal, stderr=terminal,
            env=environment(TERM="xterm", **variables),
        ) as program,
    ):  # fmt: skip
        os.close(terminal)
        shown.write(typed.encode())
        output = b""
        with suppress(OSError):  # how a terminal says that its last user is gone
            while chunk := shown.read(4096):
                output += chunk
    return program.returncode, output.decode()


def without_colours(text: str) -> str:
    """What a terminal shows, less its escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
