"""The deployment archive: what `chalice package` makes, without what the functions never read, and with bytecode.

`python -m ops.packaging --stage dev --out build/dev` makes the folder that `sam deploy` takes.

Lambda's folder is read-only, so that every cold start compiles every module whose bytecode is not in the archive.
With it the archive is larger, and the first answer comes in half the time. Medians of three rounds of 7 cold
starts each, against a local AWS, on two cores that had other work, too; `tests/unit/test_packaging.py` measures
the first and the last anew:

| archive | size | process start to first answer |
|---|---|---|
| as Chalice makes it | 18.1 MB | 545 ms |
| without what is never read | 1.2 MB | 493 ms |
| the same as bytecode without sources | 2.0 MB | 253 ms |
| the same as sources and bytecode | 2.8 MB | 261 ms |

The last is what is deployed: tracebacks show the lines, and on another Python than the packaging one the sources
still run. The bytecode depends on no file's time, which unpacking may change, and is not checked against its
source (unchecked hash, https://peps.python.org/pep-0552/).
"""

import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import click

from chalicelib.api_reference import FOLDER
from ops import api_reference
from ops.gateway import PROJECT
from ops.local_aws import REGION

ARCHIVE = "deployment.zip"
SERVICES = ("dynamodb", "events", "secretsmanager")
"""The AWS services that the functions call. Not STS: Lambda puts credentials into the environment."""

_LAMBDA_FOLDER = "/var/task"

_LEFT_OUT = (
    # What depends on the machine that packages, or on the one that built a wheel.
    "*/__pycache__/*",
    "*.pyc",
    # For type checkers, and for the command line: wheels keep their scripts in `*.data`.
    "*.pyi",
    "*/py.typed",
    "*.data/*",
    # Routers for HTTP APIs. The functions have Chalice's; of Powertools they have the logger and the metrics.
    "aws_lambda_powertools/event_handler/*",
    # Time zones by name. Everything here is in UTC, and only `dateutil.tz.gettz` imports them.
    "dateutil/zoneinfo/*",
    # Connections of a browser. urllib3 imports them where `sys.platform` is "emscripten".
    "urllib3/contrib/emscripten/*",
)
# Folders of which only a part is of use.
_PARTLY = {
    # Beside the service's description and endpoints there are examples, paginators and waiters, for which only
    # callers of `get_paginator` and `get_waiter` ask.
    "botocore/data/*/*": tuple(
        f"botocore/data/{service}/*/{file}"
        for service in SERVICES
        for file in ("service-2.*", "endpoint-rule-set-1.*")
    ),
    # Powertools' logger needs JMESPath's functions; the rest is for other kinds of Lambda functions.
    "aws_lambda_powertools/utilities/*": (
        "aws_lambda_powertools/utilities/__init__.py",
        "aws_lambda_powertools/utilities/jmespath_utils/*",
    ),
    # Nobody asks for the metadata of a distribution, but their licences want to be passed on.
    "*.dist-info/*": ("*.dist-info/LICENSE*", "*.dist-info/NOTICE*", "*.dist-info/licenses/*"),
}


class PackagingFailed(Exception):
    """There is no archive. The text says why."""


def package(stage: str, out: Path) -> Path:
    """Packages the service for ``stage`` into the folder ``out``, which it returns.

    ``out`` has ``sam.json`` and ``deployment.zip`` then. Raises :class:`PackagingFailed`.
    """
    shrink(package_plainly(stage, out) / ARCHIVE)
    return out


def package_plainly(stage: str, out: Path) -> Path:
    """What Chalice makes by itself for ``stage``, from nothing but the sources, in the folder ``out``."""
    chalice = Path(sys.executable).parent / "chalice"
    if not chalice.exists():
        raise PackagingFailed("chalice is not installed: run `make install`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_sources(folder)
        made = folder / "out"
        finished = subprocess.run(
            [chalice, "package", "--stage", stage, "--merge-template", ".chalice/resources.json", made],
            cwd=folder,
            env={"AWS_DEFAULT_REGION": REGION, **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # Without a wheel for Lambda, Chalice says so, leaves the dependency out and succeeds.
        if finished.returncode or "Could not install dependencies" in finished.stdout:
            raise PackagingFailed(f"chalice could not package stage {stage}: {_last_lines(finished.stdout)}")
        out.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copyfile(file, out / file.name)
    return out


def copy_sources(folder: Path) -> None:
    """Copies what Chalice packages, and nothing else, into ``folder``."""
    shutil.copytree(
        PROJECT / ".chalice", folder / ".chalice", ignore=shutil.ignore_patterns("deployments", "deployed")
    )
    for source in [PROJECT / "requirements.txt", PROJECT / "app.py", *PROJECT.glob("chalicelib/**/*.py")]:
        copy = folder / source.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    api_reference.make(PROJECT / "docs", folder / "chalicelib" / FOLDER.name)


def _last_lines(output: str, count: int = 5) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it does not say why"


def shrink(archive: Path) -> None:
    """Rewrites ``archive`` without what the functions never read, and with bytecode.

    The same sources make the same archive, byte for byte.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(archive) as entries:
            entries.extractall(folder, [entry for entry in entries.namelist() if is_kept(entry)])
        _compile(folder)
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        with zipfile.ZipFile(archive, "w") as entries:
            for file in files:
                entry = zipfile.ZipInfo(file, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, whose permissions follow: anyone may read
                entry.external_attr = 0o100644 << 16
                entries.writestr(entry, (folder / file).read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)


def is_kept(entry: str) -> bool:
    """Whether a file of Chalice's archive goes into ours."""
    if entry.endswith("/") or _matches(entry, _LEFT_OUT):
        return False
    return all(_matches(entry, parts) for folder, parts in _PARTLY.items() if _matches(entry, (folder,)))


def _matches(entry: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(entry, pattern) for pattern in patterns)


def _compile(folder: Path) -> None:
    """Puts bytecode beside each source, the same at each run.

    In an interpreter of its own: what `marshal` writes depends on which strings are in use elsewhere.
    """
    subprocess.run(
        [sys.executable, "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
         "-s", folder, "-p", _LAMBDA_FOLDER, folder],
        env={"PYTHONHASHSEED": "0"}, check=True,
    )  # fmt: skip


@click.command()
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for sam.json and deployment.zip.",
)
def main(stage: str, out: Path) -> None:
    """Makes what `sam deploy` takes."""
    try:
        archive = package_plainly(stage, out) / ARCHIVE
        before = archive.stat().st_size
        shrink(archive)
    except PackagingFailed as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB; {before / 1e6:.1f} MB as Chalice makes it")


if __name__ == "__main__":
    main()
