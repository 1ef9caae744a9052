"""The engines that tests run on, and a look at, or a hand in, every request the SDK sends."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

import app
from chalicelib.phones import SipPhones
from chalicelib.settings import Settings
from chalicelib.tokens import ApiTokens
from ops.local_aws import create_resources, free_port, simulator

Handler = Callable[[str, AWSPreparedRequest], AWSResponse | None]


class Crash(BaseException):
    """The end of the program, as far as a test can do that to its own: nothing handles it."""


def refusal(request: AWSPreparedRequest, code: str, *, status: int = 400) -> AWSResponse:
    """The answer of AWS to a request that it refuses with the error ``code``."""
    body = f'{{"__type": "{code}", "message": "refused by the test"}}'.encode()
    return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(body))


@dataclass
class Wire:
    """Between the SDK and AWS: sees each request as it is sent, retries included, and can spoil it."""

    engine: str = ""
    sent: list[str] = field(default_factory=list)
    _faults: list[tuple[str, Handler]] = field(default_factory=list)
    _watchers: list[tuple[str, Callable[[AWSPreparedRequest], object]]] = field(default_factory=list)
    _readers: list[tuple[str, Callable[[dict[str, Any]], object]]] = field(default_factory=list)
    _latencies: dict[str, float] = field(default_factory=dict)
    _director: Handler | None = None

    def on_send(self, request: AWSPreparedRequest, event_name: str, **_rest: Any) -> AWSResponse | None:
        _, service, operation = event_name.split(".")
        self.sent.append(operation)
        if service in self._latencies:
            time.sleep(self._latencies[service])
        for watched, look in self._watchers:
            if watched == operation:
                look(request)
        for place, (faulty, fault) in enumerate(self._faults):
            if faulty == operation:
                del self._faults[place]
                return fault(event_name, request) or botocore_stubber(event_name, request)
        directed = self._director and self._director(event_name, request)
        return directed or botocore_stubber(event_name, request)

    @contextmanager
    def directed(self, director: Handler) -> Iterator[None]:
        """Asks ``director`` about every request: it may hold it back, answer it, or raise."""
        self._director = director
        try:
            yield
        finally:
            self._director = None

    @contextmanager
    def recorded(self) -> Iterator[list[str]]:
        """The operations sent meanwhile, in their order."""
        del self.sent[:]
        yield self.sent

    @contextmanager
    def watched(self, operation: str, look: Callable[[AWSPreparedRequest], object]) -> Iterator[None]:
        """Shows each request for ``operation`` to ``look``."""
        watcher = (operation, look)
        self._watchers.append(watcher)
        yield
        self._watchers.remove(watcher)

    def on_answer(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        for operation, read in self._readers:
            if operation == model.name:
                read(parsed)

    @contextmanager
    def answered(self, operation: str, read: Callable[[dict[str, Any]], object]) -> Iterator[None]:
        """Shows each answer to ``operation``, parsed, to ``read``."""
        reader = (operation, read)
        self._readers.append(reader)
        yield
        self._readers.remove(reader)

    @contextmanager
    def slowed(self, seconds: dict[str, float]) -> Iterator[None]:
        """Delays every request by what ``seconds`` has for its service, as botocore's events name it."""
        assert seconds.keys() <= {"dynamodb", "secrets-manager", "eventbridge"}
        self._latencies = seconds
        yield
        self._latencies = {}

    def refuse(self, operation: str, code: str, *, status: int = 400, times: int = 1) -> None:
        """AWS answers the next requests for ``operation`` with an error, and does nothing."""

        def answer(_event: str, request: AWSPreparedRequest) -> AWSResponse:
            return refusal(request, code, status=status)

        self._faults += [(operation, answer)] * times

    def answer(self, operation: str, body: dict[str, Any]) -> None:
        """AWS answers the next request for ``operation`` with ``body``, whatever it asks."""

        def answered(_event: str, request: AWSPreparedRequest) -> AWSResponse:
            return AWSResponse(request.url, 200, HTTPHeaders(), MockRawResponse(json.dumps(body).encode()))

        self._faults.append((operation, answered))

    def drop(self, operation: str, *, times: int = 1) -> None:
        """The connection breaks before AWS has the next requests for ``operation``."""

        def broken(_event: str, request: AWSPreparedRequest) -> None:
            raise ConnectionClosedError(endpoint_url=request.url)

        self._faults += [(operation, broken)] * times

    def lose_answer(self, operation: str, *, then: Callable[[], object] = lambda: None) -> None:
        """AWS does what the next request for ``operation`` asks, then the connection breaks.

        ``then`` runs before the SDK notices.
        """

        def lost(event: str, request: AWSPreparedRequest) -> None:
            self.perform(event, request)
            then()
            raise ConnectionClosedError(endpoint_url=request.url)

        self._faults.append((operation, lost))

    def cut_short(self, operation: str, *, status: int = 200) -> None:
        """AWS does what the next request for ``operation`` asks; half of its answer arrives."""

        def cut(event: str, request: AWSPreparedRequest) -> AWSResponse:
            self.perform(event, request)
            return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(b'{"Attributes": {"_id": {"S'))

        self._faults.append((operation, cut))

    def crash(self, operation: str, *, when: str) -> None:
        """The program ends ``before`` the next request for ``operation`` is sent, or ``after`` it took effect."""

        def ended(event: str, request: AWSPreparedRequest) -> None:
            if when == "after":
                self.perform(event, request)
            raise Crash

        self._faults.append((operation, ended))

    def hold(self, operation: str, until: Callable[[], object]) -> None:
        """The next request for ``operation`` reaches AWS after ``until`` has returned."""

        def held(_event: str, _request: AWSPreparedRequest) -> None:
            until()

        self._faults.append((operation, held))

    def perform(self, event: str, request: AWSPreparedRequest) -> None:
        """Sends a request by itself."""
        if self.engine == "moto":
            botocore_stubber(event, request)
        else:
            URLLib3Session().send(request)

    def mend(self) -> None:
        """Takes back every fault that has not happened."""
        del self._faults[:]


wire = Wire()
# In place of moto's own handler, which would act on a request even where another one answers it. Outside
# `mock_aws` it answers nothing, and the request goes out.
botocore.handlers.BUILTIN_HANDLERS.remove(("before-send", botocore_stubber))
botocore.handlers.BUILTIN_HANDLERS.append(("before-send", wire.on_send))
botocore.handlers.BUILTIN_HANDLERS.append(("after-call", wire.on_answer))


@contextmanager
def engine_running(name: str) -> Iterator[str]:
    """Everything that the service needs, on moto (in this process) or roto (a server)."""
    with ExitStack() as cleanup:
        os.environ.pop("AWS_ENDPOINT_URL", None)
        if name == "moto":
            cleanup.enter_context(mock_aws())
        else:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
            url = cleanup.enter_context(simulator(free_port(), data=None, log=folder / "roto.log"))
            os.environ["AWS_ENDPOINT_URL"] = url
        wire.engine = name
        forget_clients()
        app.services()
        create_resources(Settings.from_env())
        yield name
        forget_clients()


def forget_clients() -> None:
    """Makes the next call connect anew, to whatever the environment names by then."""
    app.services.cache_clear()
    SipPhones._connection = None
    ApiTokens._connection = None
