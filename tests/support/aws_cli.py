"""The AWS CLI, as documents tell people to use it."""

from pathlib import Path

from ops.environments import python_with
from ops.gateway import PROJECT

REQUIREMENTS = PROJECT / "requirements-awscli.txt"
"""Version 2 is not on PyPI. What documents say is true of both."""


def folder() -> Path:
    """Where the program `aws` is. It is installed when it is missing."""
    return python_with(REQUIREMENTS, PROJECT / ".local" / "awscli-venv").parent
