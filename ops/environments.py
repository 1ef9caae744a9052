"""Programs from PyPI whose requirements contradict the project's: each has a virtual environment of its own."""

import subprocess
import sys
from pathlib import Path

from ops.local_aws import LocalAwsFailed


def python_with(requirements: Path, home: Path) -> Path:
    """The Python of a virtual environment that has what the lock file ``requirements`` lists, by its hashes.

    It is made in the folder ``home`` when it is missing or not complete.
    Raises :class:`~ops.local_aws.LocalAwsFailed`.
    """
    python = home / "bin" / "python"
    complete = home / ".installed"  # holds what was installed, and is written last
    wanted = f"Python {sys.version_info.major}.{sys.version_info.minor}\n{requirements.read_text()}"
    if complete.exists() and complete.read_text() == wanted:
        return python
    _run(requirements, sys.executable, "-m", "venv", "--clear", str(home))
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r")
    _run(requirements, str(python), *install, str(requirements))
    complete.write_text(wanted)
    return python


def _run(requirements: Path, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise LocalAwsFailed(f"could not install {requirements.name}, which needs PyPI: {last}")
