"""The deployment archive: small, the same each time, complete, and quick to start."""

import hashlib
import importlib.util
import json
import re
import shutil
import statistics
import sysconfig
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import app
from chalicelib import api_reference, phone_writes
from chalicelib.access import AccessLevel
from chalicelib.phones import SipPhones
from ops import packaging
from ops.openapi import openapi
from ops.packaging import ARCHIVE, SERVICES, PackagingFailed, package, package_plainly
from tests.support.archive import Invocation, event, reset_over_http, run, unpacked
from tests.support.fleet import bearer, imported, new_owner, pair_of, stored

MB = 1e6
MOST_BYTES = 4 * MB
COLD_STARTS = 7
SLOWEST_RATIO = 0.8
"""Of the cold starts' medians: 0.42 to 0.54 in eight runs on two cores that had other work, too."""

PROBE = """
from chalice import Chalice
app = Chalice("probe")
app.lambda_function(name="probe")(lambda event, context: None)
"""

Mirrored = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive as Chalice makes it."""
    return package_plainly("dev", tmp_path_factory.mktemp("plain")) / ARCHIVE


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that is deployed."""
    return package("dev", tmp_path_factory.mktemp("small")) / ARCHIVE


@pytest.fixture(scope="module")
def small_folder(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(small, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture
def entries(small: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(small) as archive:
        return archive.infolist()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with as little in it as Chalice packages."""
    folder = tmp_path / "project"
    files = {
        "app.py": PROBE,
        "requirements.txt": "",
        "chalicelib/__init__.py": "",
        "chalicelib/part.py": "",
        "docs/openapi.yaml": "openapi: 3.1.0",
        "docs/reference/index.html": "",
        "docs/reference/start.js": "",
        ".chalice/config.json": '{"version": "2.0", "app_name": "probe", "stages": {"dev": {}}}',
        ".chalice/resources.json": '{"Resources": {}}',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(packaging, "PROJECT", folder)
    return folder


def reading(resource: str, **parameters: str) -> Invocation:
    asked = event("api_gateway_reset")
    asked.update(
        httpMethod="GET", resource=resource, path=resource.format_map(parameters), pathParameters=parameters
    )
    asked["requestContext"].update(httpMethod="GET", resourcePath=resource)
    return "app", asked


def test_the_archive_is_small(plain: Path, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = plain.stat().st_size, small.stat().st_size
    with capsys.disabled():
        print(f"\ndeployment archive: {after / MB:.1f} MB; {before / MB:.1f} MB as Chalice makes it")
    assert after <= MOST_BYTES
    assert after < before / 4


def test_the_same_sources_make_the_same_archive(small: Path, tmp_path: Path) -> None:
    again = package("dev", tmp_path / "new" / "again") / ARCHIVE
    digests = [hashlib.sha256(archive.read_bytes()).hexdigest() for archive in (small, again)]
    assert digests[0] == digests[1]


def test_an_entry_tells_nothing_of_when_and_by_whom_it_was_made(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {(entry.date_time, entry.external_attr >> 16) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644)
    }


def test_nothing_is_in_the_archive_that_the_functions_do_not_need(entries: list[zipfile.ZipInfo]) -> None:
    names = {entry.filename for entry in entries}
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {
        *("app.py", "__pycache__", "chalicelib", "chalice"),
        *("aws_lambda_powertools", "botocore", "dateutil", "jmespath", "pynamodb", "six.py"),
        *("typing_extensions.py", "urllib3"),
    }
    assert {name for name in names if name.startswith("chalice/") and name.endswith(".py")} == {
        "chalice/__init__.py",
        "chalice/app.py",
    }
    assert {name.split("/")[2] for name in names if re.match("botocore/data/[^/]+/", name)} == set(SERVICES)
    assert not [name for name in names if re.search(r"(^|/)tests?/|\.pyi$|/py\.typed$", name)]
    kept_of_dist_info = {name.split("/")[1] for name in names if ".dist-info/" in name}
    assert all(re.match("LICENSE|NOTICE|licenses$", name) for name in kept_of_dist_info)


def test_each_source_has_bytecode_that_is_valid_wherever_it_is_unpacked(small: Path) -> None:
    with zipfile.ZipFile(small) as archive:
        names = set(archive.namelist())
        sources = {name for name in names if name.endswith(".py")}
        cached = {importlib.util.cache_from_source(name) for name in sources}
        assert {name for name in names if name.endswith(".pyc")} == cached
        # Flags 1: a hash of the source in place of its time, and not to be checked.
        # https://peps.python.org/pep-0552/
        heads = {archive.read(name)[:8] for name in cached}
    assert heads == {importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")}


@pytest.mark.engine("roto")  # another process calls it
def test_every_function_runs_from_the_archive_alone(engine: str, small_folder: Path, mirrored: Mirrored) -> None:
    assert engine
    for other in SipPhones.scan(SipPhones.tend_at.exists()):
        other.update(actions=[SipPhones.tend_at.remove(), SipPhones.unsettled.remove()])
    phone = imported(customer=new_owner(), rotationDays=30)
    due = imported(rotationDays=30)
    phone_writes.reschedule(due, due=app.services().clock() - timedelta(minutes=1))
    token = bearer(AccessLevel.OWNER, customer=phone.customer)["Authorization"]

    authorization = event("authorizer_token")
    admitted, refused = run(
        small_folder,
        ("api_token", {**authorization, "authorizationToken": token}),
        ("api_token", {**authorization, "authorizationToken": token[:-1] + "~"}),
    )["answers"]
    assert admitted["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert refused == {"errorMessage": "Unauthorized", "errorType": "Exception"}

    done = run(
        small_folder,
        ("app", reset_over_http(phone.id, admitted["context"], "first")),
        ("reset_credentials", {"sipPhoneId": phone.id, "includeCredentials": True}),
        ("schedule_rotation", {**event("scheduler_rotation"), "customer": phone.customer}),
        ("tend", event("eventbridge_schedule")),
        ("reset_credentials", {"sipPhoneId": "0" * 24}),
    )
    over_http, invoked, planned, tended, missing = done["answers"]
    assert over_http["statusCode"] == 200, done["log"]
    answered = [(body["username"], body["password"]) for body in (json.loads(over_http["body"]), invoked["phone"])]
    assert len({pair_of(phone), *answered}) == 3
    assert answered[-1] == pair_of(stored(phone.id))
    assert over_http["headers"]["Credentials-Mirror"] == "current"
    assert mirrored(phone.id)["password"] == stored(phone.id).password
    assert planned["phones"] == 1
    assert stored(phone.id).planned_rotation
    assert (tended["due"], tended["rotated"], tended["failed"]) == (1, 1, 0)
    assert pair_of(stored(due.id)) != pair_of(due)
    assert mirrored(due.id)["password"] == stored(due.id).password
    assert missing["errorType"] == "NotFound"

    library = Path(sysconfig.get_path("stdlib"))
    elsewhere = [
        file
        for file in map(Path, done["files"])
        if not file.is_relative_to(small_folder) and not file.is_relative_to(library)
    ]
    assert [file.name for file in elsewhere] == ["archive.py"]  # the one that called the functions


def test_the_api_reference_is_served_from_the_archive_alone(small_folder: Path) -> None:
    files = [reading("/docs/{file}", file=name) for name in api_reference.ASSETS]
    done = run(small_folder, reading("/openapi.json"), reading("/docs"), *files)
    assert [answer["statusCode"] for answer in done["answers"]] == [200] * 5, done["log"]
    document, page, script, *_ = (answer["body"] for answer in done["answers"])
    assert json.loads(document) == json.loads(json.dumps(openapi()))
    assert "<script" in page
    assert "Swagger" in script
    assert not [file for file in done["files"] if "yaml" in file]
    assert {file.name for file in (small_folder / "chalicelib" / "reference").iterdir()} >= {"LICENSE", "NOTICE"}


@pytest.mark.engine("roto")  # another process calls it
def test_a_cold_start_is_quicker_than_from_what_chalice_makes(
    engine: str, plain: Path, small_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine
    folders = {"plain": unpacked(plain, tmp_path), "small": small_folder}
    for stray in folders["plain"].rglob("__pycache__"):  # what lay in this checkout; a fresh one has no bytecode
        shutil.rmtree(stray)
    phone = imported()
    seconds: dict[str, list[float]] = {name: [] for name in folders}
    for number in range(COLD_STARTS):
        for name, folder in folders.items():
            asked = reset_over_http(phone.id, {"accessLevel": "ADMIN", "tokenId": "test"}, f"{name}{number}")
            first = run(folder, ("app", asked))
            assert first["answers"][0]["statusCode"] == 200, first["log"]
            seconds[name].append(first["seconds"])
    assert not list(folders["plain"].rglob("*.pyc"))
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    ratio = medians["small"] / medians["plain"]
    with capsys.disabled():
        print(
            f"\ncold start to the first answer, medians of {COLD_STARTS}: {medians['small'] * 1000:.0f} ms "
            f"({min(seconds['small']) * 1000:.0f} to {max(seconds['small']) * 1000:.0f}); as Chalice makes it "
            f"{medians['plain'] * 1000:.0f} ms "
            f"({min(seconds['plain']) * 1000:.0f} to {max(seconds['plain']) * 1000:.0f}); ratio {ratio:.2f}"
        )
    assert ratio <= SLOWEST_RATIO


def test_only_sources_get_in_and_the_checkout_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    for stray in ("chalicelib/__pycache__/part.cpython-311.pyc", "chalicelib/notes.txt", "secrets.env"):
        (project / stray).parent.mkdir(exist_ok=True)
        (project / stray).write_text("stray")
    before = sorted(project.rglob("*"))
    with zipfile.ZipFile(package("dev", tmp_path / "out") / ARCHIVE) as archive:
        names = archive.namelist()
        sources = {name for name in names if not name.endswith(".pyc") and "/reference/" not in name}
    assert sources == {
        "app.py", "chalice/__init__.py", "chalice/app.py", "chalicelib/__init__.py", "chalicelib/part.py"
    }  # fmt: skip
    assert sorted(project.rglob("*")) == before


def test_packaging_by_command_tells_both_sizes(project: Path, tmp_path: Path) -> None:
    assert project
    out = tmp_path / "build" / "dev"
    result = CliRunner().invoke(packaging.main, ["--stage", "dev", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"\S+deployment\.zip: 0\.\d MB; 0\.\d MB as Chalice makes it\n", result.output)
    assert {file.name for file in out.iterdir()} == {"sam.json", ARCHIVE}


def test_a_failure_of_chalice_is_told_in_its_own_words_and_in_one_line(project: Path, tmp_path: Path) -> None:
    (project / "app.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(PackagingFailed, match=r"stage dev: .*No module named 'nothing_of_that_name'"):
        package("dev", tmp_path / "out")
    result = CliRunner().invoke(packaging.main, ["--stage", "dev", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_dependency_that_chalice_leaves_out_is_a_failure(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project
    chalice = tmp_path / "chalice"
    # Its own words, and the exit code that goes with them: `chalice/constants.py`, MISSING_DEPENDENCIES_TEMPLATE.
    chalice.write_text("#!/bin/sh\nmkdir out\necho Could not install dependencies:\necho unbuilt==1.0\n")
    chalice.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(PackagingFailed, match=r"unbuilt==1\.0"):
        package("dev", tmp_path / "out")
