"""Tests that leak a secret on purpose, each in another place. `test_secrecy.py` runs them and expects them to fail."""

import base64
import json
import logging
import os
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import app
from chalicelib import answers, telemetry, tokens
from chalicelib.access import AccessLevel
from chalicelib.credentials import Algorithm, Credentials
from chalicelib.errors import NotFound
from tests.support.api import ChaliceApi
from tests.support.cli import on_a_terminal, phones
from tests.support.fleet import admin, imported, new_phone_id, reset_path, stored

PASSWORD = "leak5leak5leak5leak5leak5leak5le"
PAIR = "leaked.by.import.1"
ECHO = "import sys; sys.stdout.write(sys.stdin.read())"

logger = logging.getLogger("somebody.else")
pytestmark = [pytest.mark.engine("moto"), pytest.mark.usefixtures("engine")]


@pytest.fixture
def password() -> str:
    return Credentials("username", PASSWORD).password


def reset(phone_id: str, **event: Any) -> Any:
    return app.reset_credentials({"sipPhoneId": phone_id, **event}, SimpleNamespace(aws_request_id=new_phone_id()))


def test_nothing_leaks(password: str) -> None:
    assert password
    phone = imported()
    assert ChaliceApi().request("POST", reset_path(phone.id), admin()).status == 200
    assert reset(phone.id, includeCredentials=True)["phone"]["password"] == stored(phone.id).password


def test_message_of_a_log_record(password: str) -> None:
    logger.debug("it is %s", password)


def test_extra_of_a_log_record(password: str) -> None:
    logger.debug("it is hidden", extra={"note": [password]})


def test_traceback_of_a_log_record(password: str) -> None:
    try:
        try:
            raise KeyError(password)
        except KeyError as error:
            raise ValueError from error
    except ValueError:
        logger.exception("it is in the cause")


def test_debug_record_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    phone = imported()
    monkeypatch.setattr(logging.getLogger("botocore.endpoint"), "filters", [])
    reset(phone.id)


def test_token_in_a_log_record() -> None:
    logger.debug(admin()["Authorization"].rpartition("_")[2])


def test_ha1_in_a_log_record() -> None:
    logger.debug(Credentials("username", PASSWORD).ha1(Algorithm.SHA_256, realm="realm"))


def test_imported_password_in_a_log_record() -> None:
    logger.debug(Credentials("username", PAIR).password)


def test_basic_authorization_in_a_log_record() -> None:
    token = admin()["Authorization"].removeprefix("Bearer ")
    logger.debug("Authorization: Basic %s", base64.b64encode(f"kamailio:{token}".encode()).decode())


def test_standard_output(password: str) -> None:
    print(password)


def test_standard_error(password: str) -> None:
    os.write(2, password.encode())


def test_standard_output_that_the_test_reads(password: str, capsys: pytest.CaptureFixture[str]) -> None:
    print(password)
    assert capsys.readouterr().out


def test_standard_output_of_another_program(password: str) -> None:
    subprocess.run([sys.executable, "-c", ECHO], input=password, text=True, check=True)


def test_output_of_another_program_that_the_test_reads(password: str) -> None:
    subprocess.run([sys.executable, "-c", ECHO], input=password, text=True, check=True, stdout=subprocess.PIPE)


def test_arguments_of_a_program(password: str) -> None:
    subprocess.run([sys.executable, "-c", "", password], check=True)


def test_output_of_a_command_of_operators(password: str) -> None:
    assert phones("show", password).returncode


def test_output_of_a_command_on_a_terminal(password: str) -> None:
    status, _ = on_a_terminal("show", password)
    assert status


def test_metric(password: str) -> None:
    telemetry.count_reset(password, "reset")


@pytest.mark.filterwarnings("default")
def test_warning(password: str) -> None:
    warnings.warn(password, stacklevel=1)


def test_exception(password: str) -> None:
    with pytest.raises(KeyError):
        raise KeyError(password)


def test_context_of_an_exception(password: str) -> None:
    def fail() -> None:
        try:
            raise KeyError(password)
        except KeyError:
            raise LookupError  # noqa: B904 - the context is what it is about

    with pytest.raises(LookupError):
        fail()


def test_note_of_an_exception(password: str) -> None:
    error = LookupError()
    error.add_note(password)
    with pytest.raises(LookupError):
        raise error


def test_repr_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Credentials, "__repr__", lambda pair: f"Credentials({pair.password})")
    reset(imported().id)


def test_event(password: str) -> None:
    reset(imported().id, reason=password)


def test_tag_of_a_secret(password: str) -> None:
    imported(customer=password)


def test_token_in_the_table() -> None:
    secret = admin()["Authorization"].rpartition("_")[2]
    tokens.issue(AccessLevel.ADMIN, description=secret, lifetime=timedelta(hours=1), now=app.services().clock())


def test_refusal_over_http(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotFound, "description", password)
    assert ChaliceApi().request("POST", reset_path(new_phone_id()), admin()).status == 404


def test_answer_of_a_lambda_function_that_was_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_mirror", lambda reset: reset.phone.password)
    reset(imported().id)


def test_assertion_that_compares_passwords(password: str) -> None:
    print("nothing leaks, and the test fails for its own reason")
    assert password == stored(imported().id).password


def test_file(password: str, tmp_path: Path) -> None:
    (tmp_path / "service.log").write_text(json.dumps({"level": "INFO", "note": password}))
