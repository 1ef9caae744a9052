"""Looks for secrets where none may be, during every test: a pytest plugin.

It knows each password, each HA1 and each API token from the moment it is made, and looks for them in whatever leaves
the service: log records of all loggers at DEBUG, standard output and error, those of other programs included, and
their arguments, warnings, exceptions with their tracebacks, `repr` and `str` of the service's objects, requests to
AWS, answers over HTTP and of Lambda functions, files. A test during which a secret turns up where it may not be fails,
and says which kind of secret and where, never the secret. ``pytest -p no:secrecy`` does without.
"""

import logging
import subprocess
import threading
import warnings
from collections.abc import Generator
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

import botocore.handlers
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.model import OperationModel
from chalice.app import ChaliceAuthorizer, EventSourceHandler

from chalicelib import tokens
from chalicelib.credentials import Credentials
from chalicelib.services import Services
from ops.phone_records import Record
from tests.support import cli
from tests.support import places_for_secrets as places
from tests.support.api import Answer, ChaliceApi, HttpApi
from tests.support.cli import Done
from tests.support.known_secrets import HA1, PASSWORD, TOKEN, KnownSecrets
from tests.support.renderings import as_text, command_of, rendered, shown
from tests.support.secrecy_figures import Figures, is_whole
from tests.support.watching import after, after_wherever_imported, modules

INSTANCES = 100
"""So many objects of each class are looked at in one test."""
STANDARD = frozenset(vars(logging.makeLogRecord({})))


class Secrecy:
    """The plugin. A method ``on_...`` is called after a function, with its result and its arguments."""

    def __init__(self) -> None:
        self._secrets = KnownSecrets()
        self._figures = Figures()
        self._file = ""
        self._lock = threading.Lock()
        self._findings: list[str] = []
        self._late: list[str] = []
        """What was found after the report of the test that it belongs to."""
        self._instances: dict[type, list[Any]] = {}
        self._connected = False
        """The service is at work in this process."""

    # Where secrets come from. Another kind is another line in `pytest_configure`.

    def learn(self, kind: str, secret: str | None) -> None:
        """Looks for a secret from now on."""
        self._figures.add(self._file, {"secrets": self._secrets.learn(kind, secret)})

    def learn_from(self, text: str) -> None:
        """Looks for what other programs made, as it stands in a ``text`` that is meant for secrets."""
        self._figures.add(self._file, {"secrets": self._secrets.learn_from(text)})

    def on_pair(self, _result: None, pair: Credentials, *_: Any, **__: Any) -> None:
        self.learn(PASSWORD, pair.password)

    def on_record_of_phone(self, _result: None, record: Record, *_: Any, **__: Any) -> None:
        self.learn(PASSWORD, record.phone.get("password"))

    def on_ha1(self, ha1: str, *_: Any, **__: Any) -> None:
        self.learn(HA1, ha1)

    def on_token(self, text: str, *_: Any, **__: Any) -> None:
        self.learn(TOKEN, text.rpartition("_")[2])

    def on_answer_of_aws(self, http_response: AWSResponse, model: OperationModel, **_: Any) -> None:
        if model.service_model.service_name in {"dynamodb", "secretsmanager"}:
            self.learn_from(as_text(http_response.content))

    # What leaves the service.

    def search(self, text: str, where: str, *, but: frozenset[str] = places.NONE) -> None:
        """Notes each kind of secret that stands in ``text``, ``but`` for those that may stand there."""
        found = self._secrets.kinds_in(text) - but
        self._figures.add(self._file, {"lines": text.count("\n") + 1})
        with self._lock:
            self._findings += [f"{kind} in {where}" for kind in sorted(found)]

    def on_connected(self, *_: Any, **__: Any) -> None:
        self._connected = True

    def on_log_record(self, _result: None, _logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno == logging.DEBUG and not self._connected:
            return  # of the tests' own clients, where the service runs elsewhere
        extra = [value for name, value in vars(record).items() if name not in STANDARD]
        text = f"{record.getMessage()}\n{record.args!r}\n{extra!r}"
        if record.exc_info and record.exc_info[1]:
            text += "\n" + rendered(record.exc_info[1])
        self.search(text, f"a log record of {record.name}, level {record.levelname}")

    def on_raises(
        self,
        _result: bool,
        _raises: object,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.search(rendered(error), f"an exception, {type(error).__name__}")

    def on_read(self, captured: tuple[str | bytes, str | bytes], *_: Any) -> None:
        for stream, text in zip(("output", "error"), captured, strict=True):
            self.search(as_text(text), f"standard {stream}")

    def on_start(self, _result: None, program: "subprocess.Popen[Any]", *_: Any, **__: Any) -> None:
        self.search(command_of(program), "the arguments of a program")

    def on_end(self, captured: tuple[Any, Any], program: "subprocess.Popen[Any]", *_: Any, **__: Any) -> None:
        self.search_output(command_of(program), *map(as_text, captured))

    def on_command(self, done: Done, *arguments: str, **_: Any) -> None:
        self.search_output(" ".join(["ops.cli", *arguments]), done.stdout, done.stderr)

    def on_terminal(self, shown: tuple[int, str], *arguments: str, **_: Any) -> None:
        self.search_output(" ".join(["ops.cli", *arguments]), shown[1], "")

    def search_output(self, command: str, output: str, error: str) -> None:
        """Looks into what a program printed."""
        meant = places.kinds(places.PROGRAMS, command)
        if meant:
            self.learn_from(output)
        self.search(output, f"standard output of {command[:100]}", but=meant)
        self.search(error, f"standard error of {command[:100]}")

    def on_http_answer(self, _result: None, answer: Answer, *_: Any, **__: Any) -> None:
        where = f"an answer {answer.status} over HTTP"
        self.search(str(answer.headers), where)
        if answer.status != HTTPStatus.OK:
            self.search(as_text(answer.body), where)

    def on_success(self, answer: Answer, _api: object, _method: str, path: str, *_: Any, **__: Any) -> None:
        if answer.status != HTTPStatus.OK:
            return
        body, meant = as_text(answer.body), places.kinds(places.ANSWERS, path)
        if PASSWORD in meant:
            self.learn_from(body)
        self.search(body, "an answer over HTTP", but=meant)

    def on_answer_of_lambda(self, answer: Any, _function: object, event: Any, *_: Any) -> None:
        meant = places.kinds(places.INVOCATIONS, repr(event))
        self.search(repr(answer), "the answer of a Lambda function", but=meant)

    def on_request_to_aws(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> None:
        _before, service, operation = event_name.split(".")
        where = f"a request to AWS, {operation} of {service}"
        self.search(f"{request.url} {request.headers.items()}", where)
        for part, meant in places.parts_of_request(service, as_text(request.body)):
            self.search(part, where, but=meant)

    def on_instance(self, _result: None, instance: Any, *_: Any, **__: Any) -> None:
        instances = self._instances.setdefault(type(instance), [])
        if len(instances) < INSTANCES:
            instances.append(instance)

    def search_instances(self) -> None:
        """Looks at the objects that the test left, as they are now."""
        left, self._instances = self._instances, {}
        for made, instances in left.items():
            for instance in [*instances]:
                self.search(shown(instance), f"repr or str of {made.__name__}")

    def search_files(self, folder: Path) -> None:
        """Looks into the files under ``folder``."""
        for file in folder.rglob("*"):
            meant = places.kinds(places.FILES, str(file))
            if file.is_file() and meant != places.ALL:
                self.search(places.text_of(file), f"the file {file}", but=meant)

    # What pytest calls.

    def pytest_configure(self) -> None:
        after(Credentials, "__init__", self.on_pair)
        after(Record, "__init__", self.on_record_of_phone)
        after(Credentials, "ha1", self.on_ha1)
        after(Credentials, "ha1b", self.on_ha1)
        after(tokens, "issue", self.on_token)

        after(Services, "__init__", self.on_connected)
        after(logging.Logger, "callHandlers", self.on_log_record)
        after(pytest.RaisesExc, "__exit__", self.on_raises)
        after(pytest.CaptureFixture, "readouterr", self.on_read)
        after(subprocess.Popen, "__init__", self.on_start)
        after(subprocess.Popen, "communicate", self.on_end)
        after(Answer, "__init__", self.on_http_answer)
        after(ChaliceApi, "request", self.on_success)
        after(HttpApi, "request", self.on_success)
        after(EventSourceHandler, "__call__", self.on_answer_of_lambda)
        after(ChaliceAuthorizer, "__call__", self.on_answer_of_lambda)
        for name in places.LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
        # First, because a handler of the tests may answer in place of AWS.
        botocore.handlers.BUILTIN_HANDLERS[:0] = [
            ("before-send", self.on_request_to_aws), ("after-call", self.on_answer_of_aws)
        ]  # fmt: skip

    def pytest_collection_finish(self) -> None:
        after_wherever_imported(cli.phones, self.on_command, "tests.")
        after_wherever_imported(cli.on_a_terminal, self.on_terminal, "tests.")
        for module in modules("chalicelib.", "ops."):
            for made in [*vars(module).values()]:
                if isinstance(made, type) and made.__module__ == module.__name__ and not issubclass(made, Enum):
                    after(made, "__init__", self.on_instance)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._file = nodeid.partition("::")[0]
        self._late += self._taken()
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            if isinstance(logger, logging.Logger):
                level = logging.INFO if logger.name in places.LOGGERS else logging.DEBUG
                if logger.level not in {logging.NOTSET, level}:
                    logger.setLevel(level)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        text = str(warning_message.message)
        self.search(text, f"a warning of {nodeid}")
        warning_message.message = UserWarning(self._secrets.masked(text))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            self.search_instances()
        for name, text in report.sections:
            if name in {f"Captured {stream} {call.when}" for stream in ("stdout", "stderr")}:
                self.search(text, name.lower())
        findings = self._taken()
        if findings:
            report.outcome = "failed"
        if report.failed:
            report.longrepr = self._secrets.masked("\n".join([*findings, report.longreprtext]))
            report.sections = [(name, self._secrets.masked(text)) for name, text in report.sections]
        return report

    def _taken(self) -> list[str]:
        """What was found since this was last asked."""
        with self._lock:
            findings, self._findings = self._findings, []
        return [f"A secret where none may be: {finding}" for finding in dict.fromkeys(findings)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._late += self._taken()
        if hasattr(session.config, "workeroutput"):  # of pytest-xdist, whose controller adds them up
            session.config.workeroutput["secrecy"] = (self._figures.plain(), self._late)
        elif self._late:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif exitstatus == 0 and is_whole(session.config):
            self._figures.keep()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        by_file, late = getattr(node, "workeroutput", {}).get("secrecy", ({}, []))
        for file, figures in by_file.items():
            self._figures.add(file, figures)
        self._late += late

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in [*self._late, self._figures.sentence()]:
            terminalreporter.write_line(line)
