"""Secrets appear where they belong and nowhere else, with every logger at DEBUG."""

import json
import logging
from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.aws import Wire
from tests.support.fleet import admin, import_lines, imported, new_phone_id, reset_path, stored


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Captures all records, with every logger's own level lowered to DEBUG."""
    names = [None, *logging.root.manager.loggerDict]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(log: pytest.LogCaptureFixture, output: pytest.CaptureFixture[str]) -> str:
    formatter = logging.Formatter()
    records = "\n".join(f"{formatter.format(record)} {vars(record)}" for record in log.records)
    captured = output.readouterr()
    return records + captured.out + captured.err


def test_no_secret_reaches_a_log_or_the_output(
    api: Api,
    wire: Wire,
    everything_logged: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    phone_id = new_phone_id()
    secrets = ["the.legacy.username", "the.legacy.password"]
    import_lines(json.dumps({"_id": phone_id, "customer": "C", "username": secrets[0], "password": secrets[1]}))
    headers = {**admin(), "Idempotency-Key": "k"}
    secrets.append(headers["Authorization"].rpartition("_")[2])
    for operation, code in [
        (None, ""), (None, ""), ("PutSecretValue", "LimitExceededException"), ("PutEvents", "InternalException"),
        ("UpdateItem", "ValidationException"), ("UpdateItem", "ThrottlingException"),
        ("GetItem", "AccessDeniedException"),
    ]:  # fmt: skip
        if operation:
            wire.refuse(operation, code, times=3)
        api.request(
            "POST",
            reset_path(phone_id),
            headers if operation is None else {**headers, "Idempotency-Key": code},
        )
        wire.mend()
        now = stored(phone_id)
        secrets += [now.username, now.password]

    text = written(everything_logged, capsys)
    assert "credentials reset" in text
    assert "Traceback" in text
    assert [secret for secret in set(secrets) if secret in text] == []


@pytest.mark.usefixtures("engine")
def test_a_phone_does_not_show_its_credentials() -> None:
    phone = imported()
    for text in (repr(phone), str(phone), repr([phone])):
        assert phone.password not in text
        assert phone.username not in text
