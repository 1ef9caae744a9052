"""The mirror, on an engine that keeps Secrets Manager's rules for versions, labels and deletion."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import app
from chalicelib.credentials import generate, new_id
from chalicelib.mirror import Copy, Mirror, MirrorUnavailable
from tests.support.aws import Wire
from tests.support.fleet import new_owner, new_phone_id

Mirrored = Callable[[str], dict[str, Any]]
# moto puts into secrets that are marked for deletion.
pytestmark = [pytest.mark.engine("roto"), pytest.mark.usefixtures("engine")]


@pytest.fixture
def mirror(engine: str) -> Mirror:
    assert engine == "roto"
    return app.services().publisher.mirror


def a_copy(phone_id: str | None = None, customer: str | None = None) -> Copy:
    return Copy(
        phone_id=phone_id or new_phone_id(),
        customer=customer or new_owner(),
        credentials=generate(),
        credentials_id=new_id(),
        changed_at=datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
    )


def put(mirror: Mirror, copy: Copy, *, is_new: bool = False) -> None:
    mirror.put(copy, token=copy.credentials_id, is_new=is_new)


@pytest.mark.parametrize("is_new", [True, False])
def test_the_secret_is_created_on_first_use(
    mirror: Mirror, mirrored: Mirrored, aws_client: Callable[[str], Any], is_new: bool
) -> None:
    copy = a_copy()
    put(mirror, copy, is_new=is_new)

    assert mirrored(copy.phone_id) == {
        "username": copy.credentials.username,
        "password": copy.credentials.password,
        "sipPhoneId": copy.phone_id,
        "customer": copy.customer,
        "credentialsId": copy.credentials_id,
        "changedAt": "2026-01-31T09:30:00.000Z",
        "versionId": copy.credentials_id,
    }
    secret = aws_client("secretsmanager").describe_secret(SecretId=f"sip-phones/{copy.phone_id}")
    assert {tag["Key"]: tag["Value"] for tag in secret["Tags"]} == {
        "service": "sip-credentials",
        "customer": copy.customer,
    }


@pytest.mark.parametrize("is_new", [True, False])
def test_a_second_copy_becomes_current(mirror: Mirror, mirrored: Mirrored, is_new: bool) -> None:
    first = a_copy()
    second = a_copy(first.phone_id)
    put(mirror, first)
    put(mirror, second, is_new=is_new)
    assert mirrored(first.phone_id)["versionId"] == second.credentials_id


def test_putting_an_old_copy_again_does_not_bring_it_back(mirror: Mirror, mirrored: Mirrored) -> None:
    first = a_copy()
    second = a_copy(first.phone_id)
    for copy in (first, second, first):
        put(mirror, copy)
    assert mirrored(first.phone_id)["versionId"] == second.credentials_id


@pytest.mark.parametrize("is_new", [True, False])
def test_a_secret_marked_for_deletion_is_restored(
    mirror: Mirror, mirrored: Mirrored, aws_client: Callable[[str], Any], is_new: bool
) -> None:
    first = a_copy()
    put(mirror, first)
    aws_client("secretsmanager").delete_secret(SecretId=f"sip-phones/{first.phone_id}")
    second = a_copy(first.phone_id)
    put(mirror, second, is_new=is_new)
    assert mirrored(first.phone_id)["versionId"] == second.credentials_id


def test_a_secret_that_somebody_else_creates_meanwhile_is_written_to(
    mirror: Mirror, mirrored: Mirrored, wire: Wire
) -> None:
    ours = a_copy()
    theirs = a_copy(ours.phone_id)
    wire.hold("CreateSecret", until=lambda: put(mirror, theirs))
    put(mirror, ours)
    assert mirrored(ours.phone_id)["versionId"] == ours.credentials_id


def test_a_token_that_has_another_value_is_left_alone(mirror: Mirror, mirrored: Mirrored) -> None:
    first = a_copy()
    put(mirror, first)
    with pytest.raises(MirrorUnavailable, match="ResourceExistsException"):
        mirror.put(a_copy(first.phone_id), token=first.credentials_id)
    assert mirrored(first.phone_id)["credentialsId"] == first.credentials_id


@pytest.mark.parametrize("operation", ["PutSecretValue", "CreateSecret", "RestoreSecret"])
@pytest.mark.parametrize("code", ["ThrottlingException", "LimitExceededException", "InvalidRequestException"])
def test_a_refusal_that_stays_is_reported_with_its_code(
    mirror: Mirror, wire: Wire, aws_client: Callable[[str], Any], operation: str, code: str
) -> None:
    copy = a_copy()
    if operation != "CreateSecret":
        put(mirror, copy)
    if operation == "RestoreSecret":
        aws_client("secretsmanager").delete_secret(SecretId=f"sip-phones/{copy.phone_id}")
    wire.refuse(operation, code, times=8)
    # Restoring is the answer to an invalid request, so it is tried until it is clear that this does not help.
    restored_in_vain = code == "InvalidRequestException" and operation != "RestoreSecret"
    expected = "Contention" if restored_in_vain else code
    with pytest.raises(MirrorUnavailable, match=expected):
        put(mirror, a_copy(copy.phone_id))


def test_a_repr_shows_no_secret() -> None:
    copy = a_copy()
    assert copy.credentials.password not in repr(copy)
    assert copy.credentials.username not in repr(copy)
