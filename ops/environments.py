"""Programs from PyPI whose requirements contradict the project's: each has a virtual environment of its own."""

import subprocess
import sys
from pathlib import Path

from ops.local_aws import LocalAwsFailed


def python_with(requirement: str, home: Path) -> Path:
    """The Python of a virtual environment that has ``requirement``.

    It is made in the folder ``home`` when it is missing or not complete.
    Raises :class:`~ops.local_aws.LocalAwsFailed`.
    """
    python = home / "bin" / "python"
    complete = home / ".installed"  # holds what was installed, and is written last
    wanted = f"{requirement} on Python {sys.version_info.major}.{sys.version_info.minor}\n"
    if complete.exists() and complete.read_text() == wanted:
        return python
    _run(requirement, sys.executable, "-m", "venv", "--clear", str(home))
    _run(requirement, str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)
    complete.write_text(wanted)
    return python


def _run(requirement: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise LocalAwsFailed(f"could not install {requirement}, which needs PyPI: {last}")
