"""Every command and every snippet of the documents: commands run, on what `make run` starts in a copy of the project."""

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import botocore.session
import hcl2
import pytest
import yaml

from chalicelib import errors
from chalicelib.announcements import Kind
from chalicelib.settings import Settings
from ops.gateway import PROJECT
from ops.local_aws import REGION, free_port
from ops.openapi import openapi
from tests.support.markdown import DOCUMENTS, Block, blocks_of, inline_code_of, links_of, script

HANG_SECONDS = 300
BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
COMMANDS = [block for block in BLOCKS if block.language in {"sh", "python"}]

RUN_ELSEWHERE = {
    "make run": "here, for all other commands",
    "make test": "it runs this",
    "make deploy STAGE=dev": "needs an AWS account; tests/e2e deploys with the same program, on a simulator",
    "make destroy STAGE=dev": "as make deploy",
    "make sip": "needs Kamailio, sipp and baresip; it is a test itself",
    "mysql --batch asterisk < docs/examples/migration/freepbx.sql > freepbx.tsv": "by test_migrating, on SQLite",
    "psql --csv fusionpbx < docs/examples/migration/fusionpbx-devices.sql > devices.csv": "by test_migrating, on SQLite",
    "mysql --batch kamailio < docs/examples/migration/kamailio.sql > subscriber.tsv": "by test_migrating, on SQLite",
}
"""Blocks of commands that are not run here, by their first lines, and why. Those of the AWS CLI are run by tests/e2e."""

DRAWING = re.compile("[─│►]")

PHONES = '{"_id": "5F00000000000000000000F1", "customer": "5F00000000000000000000C1"}\n'
"""What the documents call phones.jsonl."""

TOKEN_TO_REVOKE = "80aa6bb7d4ca2c40"

NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".local", "build", ".*_cache", ".hypothesis", "__pycache__")

Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


def is_run_elsewhere(block: Block) -> bool:
    return block.first_line in RUN_ELSEWHERE or block.asks_aws


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with the same virtual environment, and what the documents' examples speak of."""
    folder = tmp_path_factory.mktemp("checkout") / "project"
    shutil.copytree(PROJECT, folder, ignore=NOT_COPIED)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "phones.jsonl").write_text(PHONES)
    return folder


@pytest.fixture(scope="module")
def shell(checkout: Path) -> Iterator[Shell]:
    """Runs a script in the copy, while `make run` runs there."""
    home = checkout / ".local" / "home"
    home.mkdir(parents=True)
    (home / ".curlrc").write_text("fail\nsilent\nshow-error\n")  # an answer that is no success is a failure
    environment = {
        "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_DEFAULT_REGION": REGION,
        "PORT": str(free_port()),
        "AWS_PORT": str(free_port()),
    }
    log, run_file = checkout / ".local" / "make-run.log", checkout / ".local" / "run.json"
    with log.open("w") as output:
        service = subprocess.Popen(
            ["make", "run"], cwd=checkout, env=environment, stdout=output, stderr=output, start_new_session=True
        )

    def run_script(text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", text], cwd=checkout, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=HANG_SECONDS,
        )  # fmt: skip

    try:
        began = time.monotonic()
        while not run_file.exists():
            assert service.poll() is None, log.read_text()
            assert time.monotonic() - began < HANG_SECONDS
            time.sleep(0.05)
        run = json.loads(run_file.read_text())
        environment |= {
            "API": run["apiUrl"],
            "TOKEN": run["tokens"]["OWNER"],
            # Commands for a deployment find one here, too.
            "AWS_ENDPOINT_URL": run["awsEndpointUrl"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        add_token(run, TOKEN_TO_REVOKE)
        yield run_script
    finally:
        os.killpg(service.pid, signal.SIGINT)
        service.wait(timeout=HANG_SECONDS)


def add_token(run: dict[str, Any], token_id: str) -> None:
    """Adds a token that nobody can present."""
    session: Any = botocore.session.get_session()
    table = session.create_client("dynamodb", endpoint_url=run["awsEndpointUrl"], region_name=run["region"])
    table.put_item(TableName=Settings().tokens_table, Item={"tokenId": {"S": token_id}})


def name_of(document: Path) -> str:
    return str(document.relative_to(PROJECT))


def in_documents(blocks: list[Block]) -> list[Path]:
    return [document for document in DOCUMENTS if any(block.document == document for block in blocks)]


@pytest.mark.parametrize("document", in_documents(COMMANDS), ids=name_of)
def test_the_commands_of_a_document_succeed_one_after_another(shell: Shell, document: Path) -> None:
    here = [block for block in COMMANDS if block.document == document and not is_run_elsewhere(block)]
    done = shell(script(here))
    assert done.returncode == 0, done.stdout
    assert "command not found" not in done.stdout  # within an argument it fails nothing


def test_nothing_is_said_to_be_run_elsewhere_that_no_document_has() -> None:
    assert {*RUN_ELSEWHERE} <= {block.first_line for block in COMMANDS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_within_a_sentence_exist(shell: Shell, document: Path) -> None:
    commands = [
        code for code in inline_code_of(document) if re.match(r"(make|\./phones|\.venv/bin/python)( |$)", code)
    ]
    # What they do is seen elsewhere; here, that they can be given.
    lines = ["set -euo pipefail"]
    for command in commands:
        match command.split()[0]:
            case "make":
                lines.append(command.replace("make", "make --dry-run", 1))
            case "./phones":
                lines.append(f"{command} --help")
            case _:
                lines.append(command)
    done = shell("\n".join(lines))
    assert done.returncode == 0, done.stdout


def check_yaml(block: Block, folder: Path) -> None:
    if "Resources" in yaml.safe_load(block.text):
        (folder / "template.yaml").write_text(block.text)
        linter = Path(sys.executable).parent / "cfn-lint"
        done = subprocess.run([linter, folder / "template.yaml"], capture_output=True, text=True, check=False)
        assert done.stdout + done.stderr == ""


def outputs() -> dict[str, Any]:
    template: dict[str, Any] = json.loads((PROJECT / ".chalice" / "resources.json").read_text())["Outputs"]
    return template


def check_hcl(block: Block) -> None:
    assert hcl2.loads(block.text)
    used = re.findall(r'sip_credentials(?:\.outputs)?\["(\w+)"\]', block.text)
    assert used
    assert {*used} <= outputs().keys()


def check_addresses(block: Block) -> None:
    """What a block asks the API for is there."""
    for asked in re.findall(r"api\.example\.com/v1([^\s\"]+)", block.text):
        pattern = re.compile("|".join(re.sub(r"{\w+}", "[^/]+", path) for path in openapi()["paths"]))
        # Asterisk adds what it does with the address.
        assert pattern.fullmatch(asked) or pattern.fullmatch(f"{asked}/single"), asked


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in COMMANDS], ids=str)
def test_a_snippet_is_valid_in_its_language(block: Block, tmp_path: Path) -> None:
    match block.language:
        case "":
            assert DRAWING.search(block.text), "a block without a language is a drawing"
        case "json":
            json.loads(block.text)
        case "yaml":
            check_yaml(block, tmp_path)
        case "hcl":
            check_hcl(block)
        case "xml":
            ElementTree.fromstring(block.text)  # noqa: S314 - our own document
            check_addresses(block)
        case "ini":
            configparser.ConfigParser(delimiters=("=>", "="), strict=False).read_string(block.text)
            check_addresses(block)
        case "sip":
            assert re.fullmatch(r"[A-Z]+ sip:.+ SIP/2\.0\n([A-Za-z-]+: .+\n)+", block.text)
        case _:
            pytest.fail(f"{block}: nobody knows how to check {block.language}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_that_exist(document: Path) -> None:
    inside = [link.split("#")[0] for link in links_of(document) if "://" not in link and not link.startswith("#")]
    assert [link for link in inside if not (document.parent / link).exists()] == []


def rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    text = (PROJECT / document).read_text().split(f"# {heading}\n", 1)[1]
    table = text[text.index("|") :].split("\n\n", 1)[0]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_integration_guide_has_every_error_under_its_names() -> None:
    raised = {"Unauthorized", "MethodNotAllowed", "TooManyRequests"}  # by no Lambda function
    assert [row[:3] for row in rows("docs/integration.md", "Errors")] == [
        [str(error.code), error.message, "" if error.__name__ in raised else error.__name__]
        for error in errors.ServiceError.__subclasses__()
    ]


def test_the_integration_guide_has_every_event() -> None:
    assert [row[0] for row in rows("docs/integration.md", "Follow what happens")] == [*Kind]


def test_the_integration_guide_names_the_exports_of_the_stack() -> None:
    exported = {
        name: output["Export"]["Name"]["Fn::Sub"] for name, output in outputs().items() if "Export" in output
    }
    assert exported == {name: f"${{AWS::StackName}}-{name}" for name in exported}
    guide = {*inline_code_of(PROJECT / "docs" / "integration.md")}
    assert exported.keys() <= guide
