"""A local API Gateway in front of the Chalice application.

Chalice's local mode answers in its own words where API Gateway would use its gateway responses, and does not
know a Lambda authorizer's ``Unauthorized``. This gateway answers as the deployed one does, from the same
`.chalice/resources.json`. It is a development server: nothing of it runs in AWS.
"""

import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

import h11
from chalice.app import Chalice
from chalice.config import Config
from chalice.local import (
    ForbiddenError,
    InvalidAuthorizerError,
    LocalChalice,
    LocalGateway,
    NotAuthorizedError,
)

from chalicelib.api_reference import FOLDER
from ops import api_reference

PROJECT = Path(__file__).parent.parent
LAMBDA_TIMEOUT_SECONDS = 28
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_HEAD_BYTES = 10_240
MAX_BODY_BYTES = 10 * 1024 * 1024
IDLE_SECONDS = 65
LINGER_SECONDS = 2
RECEIVE_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What API Gateway answers by itself for one kind of refusal."""

    status: int
    headers: Mapping[str, str]
    template: str

    def render(self, request_id: str) -> dict[str, Any]:
        """The answer, in the form a Lambda proxy integration gives."""
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": "application/json", **self.headers},
            "multiValueHeaders": {},
            "body": self.template.replace("$context.requestId", request_id),
        }


def gateway_responses(
    resources: Path = PROJECT / ".chalice" / "resources.json",
) -> dict[str, GatewayResponse]:
    """The gateway responses of the deployment's template, by type.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    """
    template = json.loads(resources.read_text())
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    header = "gatewayresponse.header."
    return {
        kind: GatewayResponse(
            status=response["statusCode"],
            headers={
                name.removeprefix(header): value.strip("'")
                for name, value in response["responseParameters"].items()
            },
            template=response["responseTemplates"]["application/json"],
        )
        for kind, response in definition["x-amazon-apigateway-gateway-responses"].items()
    }


class Gateway(LocalGateway):
    """Routes a request to the application, through its authorizer."""

    RESPONSES: ClassVar = gateway_responses()

    def __init__(self, app: Chalice) -> None:
        super().__init__(app, Config.create(lambda_timeout=LAMBDA_TIMEOUT_SECONDS))
        api_reference.make(PROJECT / "docs", FOLDER)

    def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, Any]:
        """The answer to a request that Chalice's test client makes."""
        return self.answer(method, path, headers.items(), body)

    def answer(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> dict[str, Any]:
        """The answer to a request, whoever gives it: the application or the gateway.

        Of a header that comes more than once the application sees the last value in ``headers`` and all of them
        in ``multiValueHeaders``.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
        """
        request_id = str(uuid.uuid4())
        context = self._generate_lambda_context()
        values: dict[str, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(value)
        last = {name: each[-1] for name, each in values.items()}
        try:
            event = self._generate_lambda_event(method, _path_and_query(target), last, body)
        except ValueError:  # no such path
            return self.refuse("MISSING_AUTHENTICATION_TOKEN", request_id)
        event["multiValueHeaders"] = values
        event["requestContext"]["requestId"] = request_id
        if method not in self._app_object.routes[event["requestContext"]["resourcePath"]]:
            return self.refuse("MISSING_AUTHENTICATION_TOKEN", request_id)
        try:
            event, context = self._authorizer.authorize(event["requestContext"]["path"], event, context)
        except Exception as refusal:  # noqa: BLE001 - whatever an authorizer raises, API Gateway answers
            return self.refuse(_kind(refusal), request_id)
        answer: dict[str, Any] = self._app_object(event, context)
        return answer

    def refuse(self, kind: str, request_id: str | None = None) -> dict[str, Any]:
        """API Gateway's own answer to a request that never reaches the application."""
        return self.RESPONSES[kind].render(request_id or str(uuid.uuid4()))


def _path_and_query(target: str) -> str:
    """What a request-target names, in a form that Chalice's router takes for nothing else.

    Raises ``ValueError`` for a target that names no path. RFC 9112, section 3.2; RFC 3986, section 3.3.
    """
    if not target.startswith("/"):
        absolute = urlsplit(target)
        if absolute.scheme not in ("http", "https"):
            raise ValueError(target)
        target = absolute._replace(scheme="", netloc="").geturl()
    path, question_mark, query = target.partition("?")
    # The router would read the first as a host, and drop what follows the second and the third.
    return "/" + path.lstrip("/").replace(";", "%3B").replace("#", "%23") + question_mark + query


def _kind(refusal: Exception) -> str:
    match refusal:
        case NotAuthorizedError():
            return "UNAUTHORIZED"
        case ForbiddenError():
            return "ACCESS_DENIED"
        case InvalidAuthorizerError():
            return "AUTHORIZER_CONFIGURATION_ERROR"
        case _ if str(refusal) == "Unauthorized":
            return "UNAUTHORIZED"
        case _:
            logger.error("the authorizer failed", exc_info=refusal)
            return "AUTHORIZER_FAILURE"


class GatewayServer(ThreadingTCPServer):
    """Serves an application over HTTP on ``host:port``; port 0 takes a free one."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: Chalice, *, host: str = "127.0.0.1", port: int = 0) -> None:
        if not isinstance(app, LocalChalice):
            # Chalice keeps the current request on the application; here each thread needs its own.
            app.__class__ = type("ThreadedChalice", (LocalChalice, type(app)), {})
        self.gateway = Gateway(app)
        super().__init__((host, port), _Connection)

    @property
    def url(self) -> str:
        """Where the API is."""
        host, port = self.socket.getsockname()
        return f"http://{host}:{port}"

    def serve_in_background(self) -> None:
        """Serves until :meth:`shutdown`."""
        threading.Thread(target=self.serve_forever, name="gateway", daemon=True).start()


class _Refused(Exception):
    """A request that API Gateway answers before it looks at the path, with the gateway response ``kind``."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Connection(BaseRequestHandler):
    """A client's connection. h11 reads it as strictly as the RFC asks, so that nothing passes as two requests."""

    request: socket.socket
    server: GatewayServer

    def handle(self) -> None:
        self.request.settimeout(IDLE_SECONDS)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        with suppress(OSError):  # the client is gone, or says nothing any more
            while self._serve():
                self._http.start_next_cycle()
            self._linger()

    def _serve(self) -> bool:
        """Answers the next request; whether another one may follow."""
        method = target = "-"
        try:
            request = self._next_event()
            if not isinstance(request, h11.Request):
                return False
            method, target = request.method.decode(), request.target.decode()
            body = self._body_of(request)
        except h11.RemoteProtocolError as error:
            too_large = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            answer = self._refuse("REQUEST_TOO_LARGE" if too_large else "BAD_REQUEST_PARAMETERS")
        except _Refused as refusal:
            answer = self._refuse(refusal.kind)
        else:
            headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
            answer = self.server.gateway.answer(method, target, headers, body or None)
        self._send(method, answer)
        logger.info('%s "%s %s" %s', self.client_address[0], method, target, answer["statusCode"])
        return self._http.our_state is self._http.their_state is h11.DONE

    def _body_of(self, request: h11.Request) -> bytes:
        headers = dict(request.headers)
        if request.http_version not in (b"1.0", b"1.1"):
            raise _Refused("BAD_REQUEST_PARAMETERS")
        if b"transfer-encoding" in headers and b"content-length" in headers:  # RFC 9112, section 6.1
            raise _Refused("BAD_REQUEST_PARAMETERS")
        if len(request.target) + sum(len(name + value) for name, value in request.headers) > MAX_HEAD_BYTES:
            raise _Refused("REQUEST_TOO_LARGE")
        if int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES:
            raise _Refused("REQUEST_TOO_LARGE")
        body = bytearray()
        while isinstance(event := self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise _Refused("REQUEST_TOO_LARGE")
        return bytes(body)

    def _next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
            self._http.receive_data(self.request.recv(RECEIVE_BYTES))
        return event

    def _refuse(self, kind: str) -> dict[str, Any]:
        answer = self.server.gateway.refuse(kind)
        answer["headers"]["Connection"] = "close"  # where the next request would start is anyone's guess
        return answer

    def _send(self, method: str, answer: Mapping[str, Any]) -> None:
        status = HTTPStatus(answer["statusCode"])
        payload = (answer["body"] or "").encode()
        headers = {"Content-Type": "application/json", **answer["headers"], "Date": formatdate(usegmt=True)}
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            headers["Content-Length"] = str(len(payload))
        events: list[Any] = [h11.Response(status_code=status, reason=status.phrase, headers=[*headers.items()])]
        if method != "HEAD":
            events.append(h11.Data(payload))
        self._write(*events, h11.EndOfMessage())

    def _write(self, *events: Any) -> None:
        self.request.sendall(b"".join(self._http.send(event) or b"" for event in events))

    def _linger(self) -> None:
        """Reads on before the connection closes: TCP would take the answer back with what it finds unread."""
        self.request.shutdown(socket.SHUT_WR)
        self.request.settimeout(LINGER_SECONDS)
        until = time.monotonic() + LINGER_SECONDS
        while self.request.recv(RECEIVE_BYTES) and time.monotonic() < until:
            pass
