"""Phones from files and into files: ``./phones import``, ``export`` and ``convert``."""

import json
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from chalicelib.phones import SipPhones
from ops.gateway import PROJECT
from tests.support.cli import PROGRAM, environment, on_a_terminal, phones, program, record, without_colours
from tests.support.documents import EXAMPLE
from tests.support.fleet import imported, new_owner, new_phone_id, stored

# A program of its own needs a server.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("engine")]


def lines(number: int, **properties: Any) -> str:
    return "".join(
        json.dumps({"_id": new_phone_id(), "customer": "C", **properties}) + "\n" for _ in range(number)
    )


def test_import_reports_bad_records_and_says_so_by_its_exit_status(tmp_path: Path) -> None:
    good = new_phone_id()
    file = tmp_path / "phones.jsonl"
    file.write_text(f'{{"_id": "{good}", "customer": "C"}}\n{lines(1, notes=5)}')
    done = phones("import", str(file))

    assert done.returncode == 1
    counts = {"added": 1, "changed": 0, "unchanged": 0, "refused": 1, "failed": 0, "pending": 0}
    assert json.loads(done.stdout) == counts
    assert done.stderr == "line 2: notes: expected a text, got 5\n"
    assert stored(good)


def test_import_reads_standard_input_and_prints_plain_lines_without_a_terminal() -> None:
    done = phones("import", "-", stdin="{}\n" * 1_001)
    assert json.loads(done.stdout)["refused"] == 1_001
    said = done.stderr.splitlines()
    assert said[999:] == [
        "line 1000: _id: missing; customer: missing",
        "1,000 phones",
        "line 1001: _id: missing; customer: missing",
    ]


def test_import_says_when_copies_follow() -> None:
    done = program("import", "-", stdin=lines(1), EVENT_BUS="no-such-bus")
    assert (done.returncode, json.loads(done.stdout)["pending"]) == (0, 1)
    assert "with the copy in Secrets Manager or the announcement to follow" in done.stderr


def test_import_shows_a_bar_with_rate_and_remaining_time_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "phones.jsonl"
    file.write_text(lines(40))
    status, output = on_a_terminal("import", str(file))
    shown = without_colours(output)
    assert status == 0
    assert "━" in shown
    assert "/s 0:00:0" in shown
    assert '"added": 40' in shown


def test_import_keeps_the_pace_it_is_given() -> None:
    began = time.monotonic()
    assert record("import", "--rate", "20", "-", stdin=lines(21))["added"] == 21
    assert time.monotonic() - began >= 1


def test_an_import_that_is_interrupted_ends_at_once_and_is_completed_by_the_next(tmp_path: Path) -> None:
    file = tmp_path / "phones.jsonl"
    file.write_text(lines(60))
    ids = [json.loads(line)["_id"] for line in file.read_text().splitlines()]
    with subprocess.Popen(
        [*PROGRAM, "import", "--rate", "2", str(file)], cwd=PROJECT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as importing:  # fmt: skip
        while SipPhones.find(ids[0]) is None:
            assert importing.poll() is None
            time.sleep(0.05)
        importing.send_signal(signal.SIGINT)
        _, said = importing.communicate(timeout=25)  # all of it would take 30 seconds
    assert importing.returncode == 130
    assert "importing the file again goes on" in said
    assert SipPhones.find(ids[-1]) is None

    counts = record("import", "--rate", "1000", str(file))
    assert counts["added"] + counts["unchanged"] == 60
    assert not any(stored(phone_id).unsettled for phone_id in ids)


@pytest.mark.usefixtures("no_phones")
def test_an_export_is_imported_without_a_change(tmp_path: Path) -> None:
    document = {**EXAMPLE, "_id": new_phone_id(), "reseller": "R", "rotationDays": 30}
    assert record("import", "-", stdin=json.dumps(document))["added"] == 1
    file = tmp_path / "phones.jsonl"
    assert phones("export", str(file)).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert record("import", str(file))["changed"] == 0
    (line,) = (line for line in file.read_text().splitlines() if document["_id"] in line)
    assert json.loads(line)["softkeys"] == document["softkeys"]
    assert phones("export").stdout.count(document["_id"]) == 1


def test_an_export_has_secrets_only_when_asked_for_twice(tmp_path: Path) -> None:
    phone = imported()
    assert phone.password not in phones("export").stdout
    file = tmp_path / "phones.jsonl"
    refused = phones("export", "--secrets", str(file))
    assert (refused.returncode, file.exists()) == (2, False)
    assert phone.password in phones("export", "--secrets", "--confirm-secrets").stdout

    status, asked = on_a_terminal("export", "--secrets", str(file), typed="n\n")
    assert "This writes all passwords in the clear. Go on?" in asked
    assert (status, file.exists()) == (130, False)
    status, _ = on_a_terminal("export", "--secrets", str(file), typed="y\n")
    assert status == 0
    assert phone.password in file.read_text()


def test_an_export_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    file = tmp_path / "phones.jsonl"
    file.write_text("the former one")
    assert program("export", str(file), PHONES_TABLE="no-such-table").returncode == 1
    assert [each.name for each in tmp_path.iterdir()] == ["phones.jsonl"]
    assert file.read_text() == "the former one"


def test_what_is_converted_is_imported_with_its_pairs_and_the_rest_is_reported() -> None:
    customer = new_owner()
    extensions = "extension,name,secret,tech\n1001,Reception,s3cret,pjsip\n1002,Fax,,dahdi\n"
    converted = phones("convert", "--from", "freepbx", "--customer", customer, "-", stdin=extensions)
    assert converted.returncode == 1
    assert converted.stderr == "line 3: left out: a device of the kind 'dahdi' does not register by SIP\n"

    assert record("import", "-", stdin=converted.stdout)["added"] == 1
    phone = stored(json.loads(converted.stdout)["_id"])
    assert (phone.username, phone.password, phone.notes) == ("1001", "s3cret", "Reception")


def test_a_conversion_shows_no_password_on_a_terminal_unless_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "extensions.csv"
    file.write_text("extension,name,secret,tech\n1001,Reception,s3cret,pjsip\n")
    command = ("convert", "--from", "freepbx", "--customer", "C", str(file))
    assert "s3cret" not in on_a_terminal(*command)[1]
    assert "s3cret" in on_a_terminal(*command, "--reveal")[1]


@pytest.mark.parametrize(
    "command", [["import"], ["convert", "--from", "kamailio"]], ids=lambda command: command[0]
)
def test_a_file_that_is_not_utf_8_gets_one_line(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "latin1"
    file.write_bytes("username\tpassword\nMünchen\tx\n".encode("latin-1"))
    done = phones(*command, str(file))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: expected UTF-8 text")
    assert done.stderr.count("\n") == 1
