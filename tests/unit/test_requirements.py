"""What is installed: what `pyproject.toml` asks for, each in one version that is known by its hashes."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.gateway import PROJECT

LOCK_FILES = sorted(PROJECT.glob("requirements*.txt"))
LOCKED = re.compile(
    r"^(\S+==[^\n\\]+) \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+(?:    #.*\n)*", re.MULTILINE
)
PYPROJECT: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())
ASKED_FOR: dict[str, list[str]] = {
    "requirements.txt": PYPROJECT["project"]["dependencies"],
    "requirements-dev.txt": PYPROJECT["dependency-groups"]["dev"],
}


def locked(file: str) -> set[str]:
    """The names of what a lock file has for this platform and this Python."""
    requirements = [Requirement(text) for text in LOCKED.findall((PROJECT / file).read_text())]
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate()
    }


def closure(asked_for: str) -> Iterator[str]:
    """The names of a distribution and of all that it requires here, by its own metadata."""
    requirement = Requirement(asked_for)
    yield canonicalize_name(requirement.name)
    for text in requires(requirement.name) or []:
        marker = Requirement(text).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in requirement.extras or {""}):
            yield from closure(text)


@pytest.mark.parametrize("file", LOCK_FILES, ids=lambda file: str(file.name))
def test_every_requirement_has_one_version_and_its_hashes(file: Path) -> None:
    assert LOCKED.sub("", file.read_text()) == ""


def test_lambda_gets_what_the_functions_ask_for_and_nothing_else() -> None:
    asked_for = {name for text in ASKED_FOR["requirements.txt"] for name in closure(text)}
    assert locked("requirements.txt") == asked_for


def test_everything_for_development_is_locked() -> None:
    names = {canonicalize_name(Requirement(text).name) for text in ASKED_FOR["requirements-dev.txt"]}
    assert names <= locked("requirements-dev.txt")
