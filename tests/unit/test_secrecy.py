"""A secret that turns up where none may be fails the run, wherever that is: the plugin `secrecy` is not blind."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ops.gateway import PROJECT
from tests.support import places_for_secrets as places
from tests.support.known_secrets import PASSWORD
from tests.unit import leaks

LEAKS = {
    "test_message_of_a_log_record": "a password in a log record of somebody.else, level DEBUG",
    "test_extra_of_a_log_record": "a password in a log record of somebody.else, level DEBUG",
    "test_traceback_of_a_log_record": "a password in a log record of somebody.else, level ERROR",
    "test_debug_record_of_the_sdk": "a password in a log record of botocore.endpoint, level DEBUG",
    "test_token_in_a_log_record": "an API token in a log record",
    "test_ha1_in_a_log_record": "an HA1 in a log record",
    "test_imported_password_in_a_log_record": "a password in a log record",
    "test_basic_authorization_in_a_log_record": "an API token in a log record",
    "test_standard_output": "a password in captured stdout call",
    "test_standard_error": "a password in captured stderr call",
    "test_standard_output_that_the_test_reads": "a password in standard output",
    "test_standard_output_of_another_program": "a password in captured stdout call",
    "test_output_of_another_program_that_the_test_reads": "a password in standard output of",
    "test_arguments_of_a_program": "a password in the arguments of a program",
    "test_output_of_a_command_of_operators": "a password in standard error of ops.cli show",
    "test_output_of_a_command_on_a_terminal": "a password in standard output of ops.cli show",
    "test_metric": "a password in captured stdout call",
    "test_exception": "a password in an exception, KeyError",
    "test_context_of_an_exception": "a password in an exception, LookupError",
    "test_note_of_an_exception": "a password in an exception, LookupError",
    "test_repr_of_an_object": "a password in repr or str of Credentials",
    "test_event": "a password in a request to AWS, PutEvents of eventbridge",
    "test_tag_of_a_secret": "a password in a request to AWS, CreateSecret of secrets-manager",
    "test_token_in_the_table": "an API token in a request to AWS, PutItem of dynamodb",
    "test_refusal_over_http": "a password in an answer 404 over HTTP",
    "test_answer_of_a_lambda_function_that_was_not_asked": "a password in the answer of a Lambda function",
    "test_file": "a password in the file",
}
LATE = {"test_warning": "a password in a warning of tests/unit/leaks.py::test_warning"}


@dataclass(frozen=True)
class Run:
    """What a run of `leaks.py` told: its output, and by test why it failed."""

    status: int
    output: str
    failures: dict[str, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    report = tmp_path_factory.mktemp("leaks") / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         Path(__file__).with_name("leaks.py")],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
    told = {case.attrib["name"].partition("[")[0]: "".join(case.itertext()) for case in cases}
    return Run(done.returncode, done.stdout, {name: text for name, text in told.items() if text})


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_fails_the_test_during_which_it_happens_and_says_where(run: Run, leak: str) -> None:
    assert f"A secret where none may be: {LEAKS[leak]}" in run.failures[leak]


@pytest.mark.parametrize("leak", LATE)
def test_a_leak_that_shows_after_its_test_fails_the_run(run: Run, leak: str) -> None:
    assert leak not in run.failures
    assert f"A secret where none may be: {LATE[leak]}" in run.output
    assert run.status == pytest.ExitCode.TESTS_FAILED


def test_a_secret_where_it_is_meant_to_be_fails_nothing(run: Run) -> None:
    assert run.failures.keys() == LEAKS.keys() | {"test_assertion_that_compares_passwords"}


@pytest.mark.parametrize(
    "asked", ["export -", "find --note reception", "reset 5F", "show 5F", "tokens list", "verify"]
)
def test_what_an_operator_is_shown_unasked_is_no_place_for_secrets(asked: str) -> None:
    assert places.kinds(places.PROGRAMS, f"ops.cli --local {asked}") == places.NONE


@pytest.mark.parametrize("asked", ["export --secrets -", "reset 5F --reveal", "show 5F --reveal"])
def test_what_an_operator_asks_for_is_a_place_for_pairs_and_for_nothing_else(asked: str) -> None:
    assert places.kinds(places.PROGRAMS, f"ops.cli --local {asked}") == {PASSWORD}


def test_a_report_shows_no_part_of_a_password(run: Run) -> None:
    assert "A secret" not in run.failures["test_assertion_that_compares_passwords"]
    for text in (run.output, *run.failures.values()):
        assert leaks.PASSWORD[:8] not in text


def test_the_service_adds_nothing_to_traces() -> None:
    """Lambda's own segments, of which the roles speak, hold times and the texts of exceptions."""
    loaded = "import app, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=PROJECT, capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "aws_lambda_powertools.logging" in modules
    assert [
        name for name in modules if "xray" in name or "opentelemetry" in name or "trac" in name.split(".")
    ] == []
