"""The comparison of the table with Secrets Manager: what it finds, mends, and where it goes on."""

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import app
from chalicelib import phone_writes
from chalicelib.changes import Change
from chalicelib.credentials import Credentials
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from ops.fleet import SEGMENTS, Fleet
from ops.gateway import PROJECT
from ops.verifying import Difference, Finding, Progress, Verification
from tests.support.aws import Wire
from tests.support.cli import PROGRAM, environment, on_a_terminal, phones, without_colours
from tests.support.fleet import imported, pair_of, stored

# roto has the labels and tokens of Secrets Manager right, and moto has no BatchGetSecretValue by name that is missing.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("no_phones")]
Mirrored = Callable[[str], dict[str, Any]]


@pytest.fixture
def verification(aws_client: Callable[[str], Any]) -> Callable[..., list[Difference]]:
    def run(*, repair: bool = False, progress: Progress | None = None) -> list[Difference]:
        fleet = Fleet(aws_client("dynamodb"), SipPhones.Meta.table_name)
        work = Verification(app.services(), fleet, aws_client("secretsmanager"), repair=repair)
        return [found for batch in work.run(progress or Progress()) for found in batch.differences]

    return run


@pytest.fixture
def overwrite(aws_client: Callable[[str], Any]) -> Callable[..., None]:
    """Makes a phone's copy another one."""

    def write(phone: SipPhones, **properties: Any) -> None:
        secret = f"sip-phones/{phone.id}"
        value = json.loads(aws_client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
        aws_client("secretsmanager").put_secret_value(
            SecretId=secret, SecretString=json.dumps({**value, **properties})
        )

    return write


def test_a_fleet_that_is_as_it_should_be_has_no_differences(verification: Any) -> None:
    for _ in range(3):
        imported()
    SipPhones("0" * 24, customer="C").save()  # never imported or reset: it has no pair to copy
    progress = Progress()
    assert verification(progress=progress) == []
    assert (progress.phones, progress.complete) == (4, True)


def test_each_difference_is_named_without_any_secret(
    verification: Any, overwrite: Any, aws_client: Callable[[str], Any]
) -> None:
    other, foreign, missing, deleted, garbled = (imported() for _ in range(5))
    overwrite(other, password="another-password")
    overwrite(foreign, **{"somebody's secret name": 1})
    secrets = aws_client("secretsmanager")
    secrets.delete_secret(SecretId=f"sip-phones/{missing.id}", ForceDeleteWithoutRecovery=True)
    secrets.delete_secret(SecretId=f"sip-phones/{deleted.id}")
    secrets.put_secret_value(SecretId=f"sip-phones/{garbled.id}", SecretString="not JSON")

    found = {each.phone_id: (each.finding, each.detail) for each in verification()}
    assert found == {
        other.id: (Finding.DIFFERS, "password"),
        foreign.id: (Finding.DIFFERS, "other properties"),
        missing.id: (Finding.MISSING, ""),
        deleted.id: (Finding.MISSING, ""),
        garbled.id: (
            Finding.DIFFERS, "changedAt, credentialsId, customer, password, sipPhoneId, username"
        ),
    }  # fmt: skip


def test_a_repair_makes_every_copy_current_and_leaves_the_pairs_in_force(
    verification: Any, overwrite: Any, mirrored: Mirrored, aws_client: Callable[[str], Any]
) -> None:
    other, missing, deleted = (imported() for _ in range(3))
    overwrite(other, password="another-password")
    aws_client("secretsmanager").delete_secret(
        SecretId=f"sip-phones/{missing.id}", ForceDeleteWithoutRecovery=True
    )
    aws_client("secretsmanager").delete_secret(SecretId=f"sip-phones/{deleted.id}")

    assert {each.phone_id: each.repaired for each in verification(repair=True)} == {
        phone.id: True for phone in (other, missing, deleted)
    }
    for phone in (other, missing, deleted):
        after = stored(phone.id)
        assert pair_of(after) == pair_of(phone)
        assert mirrored(phone.id)["password"] == phone.password
        assert not after.unsettled
        assert after.tend_at == phone.tend_at
    assert verification() == []


def test_a_repair_that_aws_refuses_is_told_and_stays_on_the_agenda(
    verification: Any, overwrite: Any, wire: Wire
) -> None:
    phone = imported()
    overwrite(phone, password="another-password")
    wire.refuse("PutSecretValue", "AccessDeniedException")
    (found,) = verification(repair=True)
    assert not found.repaired
    assert stored(phone.id).unsettled
    assert stored(phone.id).tend_at is not None


def unpublished(phone: SipPhones, *, ago: timedelta) -> SipPhones:
    """The phone after a reset whose publisher ended, or has not yet begun."""
    at = app.services().clock() - ago
    change = Change(Credentials("new-user", "new-password"), changed_at=at, changed_by="t", changed_via="http")
    return phone_writes.commit(phone.id, change)


def test_a_phone_that_is_being_reset_is_pending_and_left_to_its_publisher(
    verification: Any, mirrored: Mirrored
) -> None:
    phone = imported()
    unpublished(phone, ago=timedelta(seconds=1))
    (found,) = verification(repair=True)
    assert (found.finding, found.repaired) == (Finding.PENDING, False)
    assert mirrored(phone.id)["password"] == phone.password


def test_what_a_publisher_that_is_no_more_left_is_repaired(verification: Any, mirrored: Mirrored) -> None:
    phone = imported()
    unpublished(phone, ago=PUBLISHER_LIFE + timedelta(seconds=1))
    (found,) = verification(repair=True)
    assert (found.finding, found.repaired) == (Finding.DIFFERS, True)
    assert mirrored(phone.id)["password"] == "new-password"
    assert not stored(phone.id).unsettled


def test_a_reset_between_the_two_looks_is_no_difference(verification: Any, wire: Wire) -> None:
    phone = imported()
    wire.hold(
        "BatchGetSecretValue",
        until=lambda: app.services().resets.reset(phone.id, changed_by="t", changed_via="http"),
    )
    assert verification() == []


def test_a_secret_that_may_not_be_read_is_told_with_awss_code(verification: Any, wire: Wire) -> None:
    phone = imported()
    body = {
        "SecretValues": [],
        "Errors": [{"SecretId": f"sip-phones/{phone.id}", "ErrorCode": "DecryptionFailure"}],
    }
    for _ in range(3):
        wire.answer("BatchGetSecretValue", body)
    (found,) = verification()
    assert (found.finding, found.detail) == (Finding.UNREADABLE, "DecryptionFailure")


def test_twenty_secrets_are_asked_for_at_once(verification: Any, wire: Wire) -> None:
    for _ in range(45):
        imported()
    progress = Progress()
    with wire.recorded() as sent:
        verification(progress=progress)
    assert sent.count("BatchGetSecretValue") == progress.requests
    assert 3 <= progress.requests <= 2 + SEGMENTS  # one that is not full for each segment of the table


def test_a_verification_goes_on_where_another_one_stopped(
    verification: Any, aws_client: Callable[[str], Any], tmp_path: Path
) -> None:
    for _ in range(20):
        imported()
    progress = Progress()
    work = Verification(
        app.services(), Fleet(aws_client("dynamodb"), SipPhones.Meta.table_name), aws_client("secretsmanager")
    )
    batches = work.run(progress)
    while not progress.phones:  # a part of the table may be empty
        next(batches)
    batches.close()
    assert progress.phones < 20
    progress.save(tmp_path / "progress")

    resumed = Progress.load(tmp_path / "progress")
    assert resumed == progress
    assert verification(progress=resumed) == []
    assert (resumed.phones, resumed.complete) == (20, True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"phones": 1, "requests": 1, "findings": {}, "starts": [1]}'])
def test_another_file_is_no_progress(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match="is not the file of a verification"):
        Progress.load(tmp_path / "file")


def test_the_command_lists_the_differences_and_says_so_by_its_exit_status(overwrite: Any, tmp_path: Path) -> None:
    phone = imported()
    imported()
    checkpoint = str(tmp_path / "checkpoint")
    assert phones("verify", "--checkpoint", checkpoint).returncode == 0
    overwrite(phone, password="another-password")

    done = phones("verify", "--checkpoint", checkpoint)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "sipPhoneId": phone.id, "finding": "differs", "detail": "password", "repaired": False
    }  # fmt: skip
    assert "2 phones with" in done.stderr
    assert "1 differs" in done.stderr
    status, shown = on_a_terminal("verify", "--checkpoint", checkpoint, "--repair")
    assert status == 0
    assert f"{phone.id}  differs  password  repaired" in without_colours(shown)
    assert phones("verify", "--checkpoint", checkpoint).returncode == 0
    assert not Path(checkpoint).exists()


def test_the_command_can_be_interrupted_and_resumed(overwrite: Any, tmp_path: Path) -> None:
    fleet = [imported() for _ in range(60)]
    for phone in fleet:
        overwrite(phone, password="another-password")
    checkpoint = tmp_path / "checkpoint"
    arguments = ["verify", "--checkpoint", str(checkpoint)]
    with subprocess.Popen(
        [*PROGRAM, *arguments], cwd=PROJECT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as verifying:  # fmt: skip
        assert verifying.stdout is not None
        assert verifying.stderr is not None
        first = verifying.stdout.readline()
        verifying.send_signal(signal.SIGINT)
        rest, said = verifying.stdout.read(), verifying.stderr.read()
    assert verifying.returncode == 130
    assert "`verify --resume` goes on from there" in said
    begun = {json.loads(line)["sipPhoneId"] for line in (first + rest).splitlines()}
    assert len(begun) < 60

    resumed = phones(*arguments, "--resume")
    others = {json.loads(line)["sipPhoneId"] for line in resumed.stdout.splitlines()}
    assert begun | others == {phone.id for phone in fleet}
    assert "60 phones with" in resumed.stderr


def test_a_verification_that_aws_ends_can_be_resumed_too(wire: Wire, tmp_path: Path) -> None:
    imported()
    checkpoint = str(tmp_path / "checkpoint")
    wire.refuse("BatchGetSecretValue", "AccessDeniedException")
    done = phones("verify", "--checkpoint", checkpoint)
    assert done.returncode == 1
    assert "`verify --resume` goes on from there" in done.stderr
    assert "Error: BatchGetSecretValue is not allowed" in done.stderr
    resumed = phones("verify", "--checkpoint", checkpoint, "--resume")
    assert (resumed.returncode, resumed.stderr.startswith("1 phones with")) == (0, True)


def test_what_is_wrong_with_a_checkpoint_is_said(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    file.write_text("{}")
    assert "is not the file of a verification; delete it" in phones("verify", "--checkpoint", str(file)).stderr
    Progress(phones=7).save(file)
    assert "stopped after 7 phones; --resume goes on" in phones("verify", "--checkpoint", str(file)).stderr
    assert "No verification was interrupted" in phones("verify", "--checkpoint", str(file), "--resume").stderr
