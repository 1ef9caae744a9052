"""The operators' command line, as a program: its output, its errors, its exit status."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import tokens
from chalicelib.errors import Unauthorized
from ops.gateway import PROJECT
from tests.support.fleet import new_phone_id, stored
from tests.unit.test_tokens import now

# A program of its own needs a server.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("engine")]


def phones(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line. An empty variable of ``environment`` is one that is not set."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value}
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=PROJECT, input=stdin, capture_output=True, text=True, check=False, env=variables,
    )  # fmt: skip


def test_import_reports_bad_records_and_says_so_by_its_exit_status(tmp_path: Path) -> None:
    good = new_phone_id()
    file = tmp_path / "phones.jsonl"
    file.write_text(
        f'{{"_id": "{good}", "customer": "C"}}\n{{"_id": "{new_phone_id()}", "customer": "C", "notes": 5}}\n'
    )
    done = phones("import", str(file))

    assert done.returncode == 1
    assert done.stdout == "1 added, 0 changed, 0 unchanged, 1 refused, 0 failed\n"
    assert done.stderr == "line 2: notes: expected a text, got 5\n"
    assert stored(good)


def test_import_reads_standard_input_and_prints_plain_lines_without_a_terminal() -> None:
    done = phones("import", "-", stdin="{}\n" * 1_001)
    assert done.stdout == "0 added, 0 changed, 0 unchanged, 1,001 refused, 0 failed\n"
    lines = done.stderr.splitlines()
    assert lines[999:] == [
        "line 1000: _id: missing; customer: missing",
        "1,000 phones",
        "line 1001: _id: missing; customer: missing",
    ]


def test_import_says_when_copies_follow() -> None:
    line = f'{{"_id": "{new_phone_id()}", "customer": "C"}}\n'
    done = phones("import", "-", stdin=line, EVENT_BUS="no-such-bus")
    assert done.returncode == 0
    assert "1 in force, with the copy in Secrets Manager or the announcement to follow" in done.stdout


def test_a_secret_is_masked_unless_asked_for() -> None:
    phone_id = new_phone_id()
    phones("import", "-", stdin=json.dumps({"_id": phone_id, "customer": "C"}))
    pair = stored(phone_id)

    masked = phones("secret", phone_id.lower()).stdout
    assert pair.password not in masked
    assert json.loads(masked)["credentialsId"] == pair.credentials_id
    assert json.loads(phones("secret", phone_id, "--reveal").stdout)["password"] == pair.password


def test_a_token_is_issued_and_revoked() -> None:
    issued = phones("tokens", "issue", "--level", "OWNER", "--customer", "C", "--description", "portal")
    text = issued.stdout.strip()
    assert tokens.verify(text, now=now()).customer == "C"

    assert phones("tokens", "revoke", text.split("_")[1]).returncode == 0
    with pytest.raises(Unauthorized):
        tokens.verify(text, now=now())


def test_tend_sweeps_once_and_prints_its_counts() -> None:
    done = phones("tend")
    assert done.returncode == 0
    assert {*json.loads(done.stdout)} >= {"due", "rotated", "completed", "failed", "left"}


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["import", "no-such-file"], 2, "No such file"),
        (
            ["tokens", "issue", "--level", "OWNER", "--description", "x"],
            2,
            "belongs to a customer: say which",
        ),
        (["tokens", "issue", "--level", "BOSS", "--description", "x"], 2, "'BOSS' is not one of"),
        (["tokens", "revoke", "nothing"], 1, "Error: there is no token nothing; expected 16 hex digits\n"),
        (["secret", "F" * 24], 1, "ResourceNotFoundException"),
        (["secret", "zz"], 1, "Error: SIP phone not found\n"),
    ],
)
def test_wrong_input_gets_a_line_and_a_status(arguments: list[str], status: int, says: str) -> None:
    done = phones(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"AWS_DEFAULT_REGION": ""}, "Set AWS_REGION, or use --local."),
        ({"ROTATION_DAYS": "soon"}, "ROTATION_DAYS: expected a whole number"),
        ({"PHONES_TABLE": "no-such-table"}, "ResourceNotFoundException"),
    ],
)
def test_a_wrong_environment_gets_one_line(environment: dict[str, str], says: str) -> None:
    done = phones("import", "-", stdin=json.dumps({"_id": new_phone_id(), "customer": "C"}), **environment)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_import_shows_a_progress_bar_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "phones.jsonl"
    file.write_text(f'{{"_id": "{new_phone_id()}", "customer": "C"}}\n')
    ours, terminal = pty.openpty()
    with (
        os.fdopen(ours, "rb") as shown,
        subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "import", str(file)],
            cwd=PROJECT,
            stdout=terminal,
            stderr=terminal,
        ) as program,
    ):
        os.close(terminal)
        output = b""
        with contextlib.suppress(OSError):  # how a terminal says that its last user is gone
            while chunk := os.read(shown.fileno(), 4096):
                output += chunk
    assert program.returncode == 0
    assert "━" in output.decode()
    assert "1 phones" in output.decode()
