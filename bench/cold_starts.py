"""Cold starts: from the start of a process to its first answer, from the archives as each is packaged."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.contenders import CALLER, OVER_HTTP, SERVICE
from bench.figures import Aim, Section, Spread, ratios
from ops.gateway import PROJECT
from ops.packaging import ARCHIVE, package
from tests.support.archive import reset_over_http, run, unpacked

PEERS = PROJECT / "bench" / "peers"
NEEDS = {
    "plain Chalice": ["boto3"],
    "FastAPI and Mangum": ["boto3", "fastapi", "mangum"],
    "Powertools resolver": ["aws-lambda-powertools", "boto3"],
}
"""What each peer is packaged with, in the versions that are installed here."""


def measure(phones: Iterator[Sequence[str]], folder: Path, *, rounds: int) -> Section:
    """Packages everybody in ``folder``, and starts each from its archive in turn, ``rounds`` times."""
    with ThreadPoolExecutor() as packaging:
        made = packaging.map(lambda name: packaged(name, folder / name), OVER_HTTP)
        archives = dict(zip(OVER_HTTP, made, strict=True))
    folders = {name: unpacked(archive, archive.parent / "unpacked") for name, archive in archives.items()}
    seconds: dict[str, list[float]] = {name: [] for name in archives}
    modules: dict[str, int] = {}
    for number in range(rounds):
        for name, unpacked_folder in folders.items():
            asked = reset_over_http(next(phones)[0], CALLER, f"{name}{number}")
            started = run(unpacked_folder, (OVER_HTTP[name][1], asked))
            if started["answers"][0].get("statusCode") != 200:  # noqa: PLR2004 - HTTP's OK
                raise RuntimeError(f"{name}: {started['answers'][0]}\n{started['log']}")
            seconds[name].append(started["seconds"])
            modules[name] = len(started["files"])
    return section(seconds, modules, {name: archive.stat().st_size for name, archive in archives.items()})


def section(seconds: dict[str, list[float]], modules: dict[str, int], sizes: dict[str, int]) -> Section:
    """Times, sizes, and how many modules were imported from files."""
    ratio = {name: ratios(values, seconds[SERVICE]) for name, values in seconds.items()}
    rows = [
        [
            name,
            f"{Spread.of(values).median * 1000:.0f} ms",
            f"{ratio[name]:.2f}",
            f"{sizes[name] / 1e6:.1f} MB",
            str(modules[name]),
        ]
        for name, values in seconds.items()
    ]
    quickest = min(spread.median for name, spread in ratio.items() if name != SERVICE)
    aim = Aim("cold start: quicker than every framework", f"they take {quickest:.2f} times as long", quickest > 1)
    columns = ["", "to the first answer", "to this service", "archive", "modules"]
    figures = {"seconds": seconds, "ratioToService": ratio, "archiveBytes": sizes, "modules": modules}
    return Section("cold-starts", columns, rows, figures, [aim])


def packaged(name: str, folder: Path) -> Path:
    """The archive of ``name``: ours by `make package`, plain Chalice's by Chalice, the others' by pip."""
    if name == SERVICE:
        return package("dev", folder) / ARCHIVE
    sources = {
        file.relative_to(PROJECT).as_posix(): file.read_text()
        for file in (PROJECT / "bench" / "__init__.py", PEERS / "__init__.py", PEERS / "steps.py")
    }
    app = (PROJECT / OVER_HTTP[name][0].replace(".", "/")).with_suffix(".py").read_text()
    needs = [f"{distribution}=={version(distribution)}" for distribution in NEEDS[name]]
    if name == "plain Chalice":
        return _by_chalice(app, sources, needs, folder)
    return _by_pip(app, sources, needs, folder)


def _by_chalice(app: str, sources: dict[str, str], needs: list[str], folder: Path) -> Path:
    """What is not the application's own goes into `vendor`: https://aws.github.io/chalice/topics/packaging.html."""
    config: dict[str, Any] = {"version": "2.0", "app_name": "plain", "stages": {"dev": {}}}
    _write(folder / "project", {
        "app.py": app,
        "requirements.txt": "\n".join(needs),
        ".chalice/config.json": json.dumps(config),
        **{f"vendor/{path}": text for path, text in sources.items()},
    })  # fmt: skip
    chalice = Path(sys.executable).parent / "chalice"
    _run([str(chalice), "package", str(folder / "out")], folder / "project")
    return folder / "out" / ARCHIVE


def _by_pip(app: str, sources: dict[str, str], needs: list[str], folder: Path) -> Path:
    """Dependencies beside the sources: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html."""
    content = folder / "content"
    _write(content, {"app.py": app, **sources})
    _run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(content), *needs],
        folder,
    )
    archive = folder / ARCHIVE
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as entries:
        for file in sorted(content.rglob("*")):
            entries.write(file, file.relative_to(content))
    return archive


def _write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _run(command: list[str], folder: Path) -> None:
    finished = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if finished.returncode:
        raise RuntimeError(f"{command[0]} failed: {finished.stdout}")
