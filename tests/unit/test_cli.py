"""The operators' command line: what all commands have in common, and those for single phones and tokens."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import app
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.errors import Unauthorized
from chalicelib.phones import SipPhones
from chalicelib.tokens import ApiTokens
from ops.cli.program import phones as all_commands
from ops.gateway import PROJECT
from ops.run import SAMPLE_PHONES
from tests.support.cli import (
    PROGRAM,
    environment,
    on_a_terminal,
    phones,
    program,
    record,
    records,
    without_colours,
)
from tests.support.fleet import imported, new_owner, stored
from tests.unit.test_tokens import now

# A program of its own needs a server.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("engine")]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that there is, groups included."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = sorted(commands(all_commands))


def help_of(path: tuple[str, ...]) -> str:
    command: click.Command = all_commands
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command.get_help(click.Context(command, terminal_width=1000, max_content_width=1000))


def examples(path: tuple[str, ...]) -> list[str]:
    _, _, shown = help_of(path).partition("Example:\n")
    return [line.strip() for line in shown.split("\n\n")[0].splitlines()]


@pytest.fixture
def desk(no_phones: None, tmp_path: Path) -> Path:
    """A folder with what the examples name, beside a local stack as `make run` leaves it."""
    assert no_phones is None
    (tmp_path / "run.json").write_text(
        json.dumps({"awsEndpointUrl": os.environ["AWS_ENDPOINT_URL"], "region": "eu-west-1"})
    )
    (tmp_path / "phones.jsonl").write_text('{"_id": "5F0000000000000000000009", "customer": "C"}\n')
    (tmp_path / "extensions.csv").write_text("extension,name,secret,tech\n1001,Reception,s3cret,pjsip\n")
    phones("import", str(SAMPLE_PHONES))
    ApiTokens(
        "80aa6bb7d4ca2c40", secret_hash="-", access_level="ADMIN", description="an example", created_at=now()
    ).save()
    return tmp_path


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_examples_that_work(path: tuple[str, ...], desk: Path) -> None:
    assert examples(path)
    for example in examples(path):
        assert "./phones" in example
        command = example.replace("./phones", shlex.join(PROGRAM))
        done = subprocess.run(
            ["/bin/bash", "-euc", command], cwd=desk, capture_output=True, text=True, check=False,
            env=environment(
                PHONES_RUN_FILE=str(desk / "run.json"), AWS_ENDPOINT_URL="", AWS_DEFAULT_REGION=""
            ),
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), f"{example}\n{done.stderr}"


def test_help_needs_no_deployment() -> None:
    for path in ([], ["status"], ["tokens", "issue"]):
        done = program(*path, "--help", AWS_DEFAULT_REGION="", AWS_ENDPOINT_URL="")
        assert (done.returncode, done.stderr) == (0, "")


def test_help_says_what_the_exit_statuses_mean() -> None:
    assert re.search("0 done; 1 .*; 2 wrong usage; 130 interrupted", " ".join(phones("--help").stdout.split()))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["bla"], 2, "No such command 'bla'."),
        (["--local", "--stage", "dev", "status"], 2, "--local, --stage: expected one of them at most"),
        (["import", "no-such-file"], 2, "No such file"),
        (["import", "--rate", "0", "-"], 2, "0.0 is not in the range x>=1"),
        (["export", "--secrets", "-"], 2, "confirm it with --confirm-secrets"),
        (["convert", "-"], 2, "Missing option '--from'"),
        (["convert", "--from", "freepbx", "-"], 1, "expected a first line with the columns username or extension"),
        (["show", "zz"], 2, "expected 24 hex digits, got 'zz'"),
        (["show", "F" * 24], 1, f"there is no phone {'F' * 24}"),
        (["find"], 2, "expected at least one of --mac, --customer, --extension, --note"),
        (["find", "--mac", "00:04:13"], 2, "expected a MAC address such as 00:04:13:A1:B2:C3, got '00:04:13'"),
        (["find", "--extension", "none has it"], 1, "No phone is like that."),
        (["reset"], 2, "expected an ID or --mac, one of them"),
        (["reset", "F" * 24, "--mac", "000413A1B2C3"], 2, "expected an ID or --mac, one of them"),
        (["reset", "--mac", "0000000000FF"], 1, "no phone has the MAC address 0000000000FF"),
        (["reset", "F" * 24], 1, "SIP phone not found"),
        (["reset", "F" * 24, "--reason", "x" * 201], 2, "--reason: expected at most 200 characters"),
        (["rotate", "--over", "4h"], 2, "expected IDs, --customer or --all, one of them"),
        (["rotate", "--all", "--customer", "C"], 2, "expected IDs, --customer or --all, one of them"),
        (["rotate", "--all", "--over", "soon"], 2, "expected a time such as 90m, 4h or 1d12h, got 'soon'"),
        (["reset", "F" * 24, "--grace", "8d"], 2, "--grace: expected at most 7 days"),
        (["rotate", "--all", "--over", "400d"], 2, "over: expected at most 366 days"),
        (["rotate", "--all", "--not-before", "later"], 2, "expected a date such as 2026-01-31"),
        (["cancel"], 2, "expected IDs, --customer or --all, one of them"),
        (["tokens", "issue", "--level", "OWNER", "--description", "x"], 2, "belongs to a customer: say which"),
        (["tokens", "issue", "--level", "BOSS", "--description", "x"], 2, "'BOSS' is not one of"),
        (["tokens", "revoke", "nothing"], 1, "there is no token nothing; expected 16 hex digits"),
        (["status", "--watch", "0.1"], 2, "0.1 is not in the range x>=1"),
        (["completion", "fish"], 2, "'fish' is not one of 'bash', 'zsh'"),
    ],
)  # fmt: skip
def test_wrong_input_gets_one_line_and_a_status(arguments: list[str], status: int, says: str) -> None:
    done = phones(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AWS_DEFAULT_REGION": ""}, "no AWS region: set AWS_REGION, for instance AWS_REGION=eu-west-1"),
        ({"ROTATION_DAYS": "soon"}, "ROTATION_DAYS: expected a whole number"),
        ({"PHONES_TABLE": "no-such-table"}, "is it the right deployment? --local, --stage or the environment"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS is not reachable"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials"),
    ],
)
@pytest.mark.parametrize("command", [["show", "F" * 24], ["status"]], ids=lambda command: command[0])
def test_a_wrong_environment_gets_one_line(command: list[str], variables: dict[str, str], says: str) -> None:
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = program(*command, **{**nowhere, **variables})
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_stack_or_a_local_one_it_is_said_how_to_make_it(tmp_path: Path) -> None:
    assert (
        "there is no stack sip-credentials-dev in eu-west-1: `make deploy STAGE=dev`"
        in program("--stage", "dev", "status").stderr
    )
    local = program("--local", "status", PHONES_RUN_FILE=str(tmp_path / "run.json"))
    assert (local.returncode, local.stderr) == (1, "Error: nothing runs locally; start it with `make run`\n")


def test_an_interrupted_command_says_so_by_its_status() -> None:
    with subprocess.Popen(
        [*PROGRAM, "status", "--watch", "60"], cwd=PROJECT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["at"]
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said.strip()) == (130, "Interrupted.")


def test_colours_are_for_terminals_and_for_those_who_want_them() -> None:
    _, coloured = on_a_terminal("doctor")
    assert "\x1b[32mok" in coloured
    _, plain = on_a_terminal("doctor", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "\x1b" not in phones("doctor").stdout


def test_show_masks_the_pair_unless_it_is_asked_for() -> None:
    phone = imported(notes="Reception", rotationDays=30)
    status, shown = on_a_terminal("show", phone.id.lower())
    assert status == 0
    assert "Reception" in shown
    for text in (shown, phones("show", phone.id).stdout):
        assert phone.password not in text
        assert phone.username not in text

    revealed = record("show", phone.id, "--reveal")
    assert (revealed["username"], revealed["password"]) == (phone.username, phone.password)
    assert revealed["credentials"]["copy"] == "current"
    assert revealed["credentials"]["due"]
    assert phone.password in without_colours(on_a_terminal("show", phone.id, "--reveal")[1])


def test_show_tells_a_copy_that_differs(aws_client: Any) -> None:
    phone = imported()
    aws_client("secretsmanager").put_secret_value(SecretId=f"sip-phones/{phone.id}", SecretString="{}")
    assert record("show", phone.id)["credentials"]["copy"].startswith("differs: changedAt, credentialsId")


def test_find_combines_what_is_given() -> None:
    customer = new_owner()
    reception = imported(customer=customer, notes="Reception", extension="E1", macAddress="0004130A0B0C")
    imported(customer=customer, notes="Workshop", extension="E1")
    imported(notes="Reception", macAddress="0004130a0b0d")

    for criteria in (
        ["--customer", customer, "--note", "RECEP"],
        ["--extension", "E1", "--note", "recep"],
        ["--mac", "00:04:13:0a:0b:0c"],
        ["--mac", "0004.130A.0B0C", "--customer", customer],
    ):
        found = record("find", *criteria)
        assert (found["_id"], found["notes"]) == (reception.id, "Reception")
        assert not {"username", "password"} & found.keys()
    assert len(records("find", "--customer", customer)) == 2
    _, shown = on_a_terminal("find", "--customer", customer)
    assert reception.id in shown


def test_reset_changes_the_pair_and_shows_it_only_when_asked_to() -> None:
    phone = imported(macAddress="0004130A0B0E")
    done = phones("reset", phone.id.lower(), "--reason", "lost")
    after = stored(phone.id)
    assert after.password != phone.password
    assert after.password not in done.stdout
    output = json.loads(done.stdout)
    assert (output["credentialsId"], output["mirror"]) == (after.credentials_id, "current")
    assert (after.changed_via, after.change_reason) == ("cli", "lost")

    revealed = record("reset", "--mac", "00-04-13-0A-0B-0E", "--reveal")
    assert revealed["phone"]["password"] == stored(phone.id).password != after.password


def test_a_reset_that_is_repeated_with_its_key_changes_nothing_more() -> None:
    phone = imported()
    first, second = (record("reset", phone.id, "--key", "k") for _ in range(2))
    assert (first["credentialsId"], second["replayed"]) == (second["credentialsId"], True)


def test_a_reset_with_a_grace_period_says_when_it_ends() -> None:
    phone = imported()
    until = record("reset", phone.id, "--grace", "15m")["graceUntil"]
    assert stored(phone.id).grace_until == until
    assert record("show", phone.id)["credentials"]["graceUntil"] == until
    assert phone.password not in phones("show", phone.id, "--reveal").stdout


def test_phones_that_share_a_mac_address_are_not_reset_by_it() -> None:
    handsets = [imported(macAddress="0004130A0B0F", handsetIndex=place) for place in (0, 1)]
    done = phones("reset", "--mac", "0004130A0B0F")
    assert done.returncode == 1
    assert all(phone.id in done.stderr for phone in handsets)
    assert [stored(phone.id).credentials_id for phone in handsets] == [phone.credentials_id for phone in handsets]


def test_a_rotation_is_planned_and_cancelled() -> None:
    customer = new_owner()
    planned, left_out = imported(customer=customer, rotationDays=30), imported(customer=customer)
    before = stored(planned.id).tend_at

    dry = record("rotate", "--customer", customer, "--over", "4h", "--dry-run")
    assert (dry["phones"], dry["leftOut"], dry["dryRun"]) == (1, {"neverFetchedConfiguration": 1}, True)
    assert stored(planned.id).tend_at == before

    plan = record("rotate", planned.id, left_out.id, "--over", "1d12h", "--not-before", "2030-01-31T22:00Z")
    assert "2030-01-31T22:00" <= plan["firstDue"] <= "2030-02-02T10:00"
    assert stored(planned.id).planned_rotation is not None

    assert record("cancel", "--customer", customer)["phones"] == 1
    assert stored(planned.id).tend_at == before


def test_a_rotation_of_the_fleet_reaches_every_phone_that_may_be_rotated() -> None:
    phone = imported(rotationDays=30)
    record("rotate", "--all", "--over", "2h", "--not-before", "2030-06-01")
    assert stored(phone.id).planned_rotation is not None
    record("cancel", "--all")
    assert stored(phone.id).planned_rotation is None


def test_tend_sweeps_once() -> None:
    assert record("tend").keys() >= {"due", "rotated", "completed", "failed", "left"}


def test_a_token_is_issued_listed_and_revoked() -> None:
    text = phones(
        "tokens", "issue", "--level", "OWNER", "--customer", "C", "--description", "portal"
    ).stdout.strip()
    _, token_id, secret = text.split("_")
    assert tokens.verify(text, now=now()).customer == "C"

    listed = phones("tokens", "list").stdout
    assert secret not in listed
    assert ApiTokens.get(token_id).secret_hash not in listed
    (token,) = (each for each in map(json.loads, listed.splitlines()) if each["tokenId"] == token_id)
    assert (token["state"], token["accessLevel"], token["description"]) == ("valid", "OWNER", "portal")

    assert phones("tokens", "revoke", token_id).returncode == 0
    with pytest.raises(Unauthorized):
        tokens.verify(text, now=now())
    assert [each["state"] for each in records("tokens", "list") if each["tokenId"] == token_id] == ["revoked"]


def test_an_expired_token_is_listed_as_such() -> None:
    text = tokens.issue(AccessLevel.ADMIN, description="x", lifetime=-now().resolution, now=now())
    token_id = text.split("_")[1]
    assert [each["state"] for each in records("tokens", "list") if each["tokenId"] == token_id] == ["expired"]


def test_bash_completes_commands_options_and_choices() -> None:
    script = phones("completion", "bash").stdout

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        asking = f"{script}\nCOMP_WORDS=({line}) COMP_CWORD={len(words) - 1}\n_phones_completion ./phones\n"
        done = subprocess.run(
            ["/bin/bash", "-c", f'{asking}printf "%s\\n" "${{COMPREPLY[@]}}"'],
            cwd=PROJECT, capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        return done.stdout.split()

    assert completed("./phones sta") == ["status"]
    assert completed("./phones --local tokens is") == ["issue"]
    assert completed("./phones verify --re") == ["--repair", "--resume"]
    assert completed("./phones tokens issue --level OW") == ["OWNER"]


def test_zsh_asks_the_program_by_the_path_that_was_typed() -> None:
    script = phones("completion", "zsh").stdout
    assert script.startswith("#compdef phones\n")
    assert "zsh_complete ${words[1]})" in script
    assert "$+commands[phones]" not in script  # zsh would complete nothing that is not on the PATH
    done = program(_PHONES_COMPLETE="zsh_complete", COMP_WORDS="./phones sta", COMP_CWORD="1")
    assert done.stdout.splitlines() == ["plain", "status", "Show the fleet at a glance."]


def test_a_command_that_aws_left_alone_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    phone: SipPhones = imported()
    assert app.services()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = program("reset", phone.id, "--key", "the-key")
    assert done.returncode == 1
    assert "repeat the command with --key the-key" in done.stderr
