"""A local API Gateway in front of the Chalice application.

Chalice's local mode answers in its own words where API Gateway would use its gateway responses, and does not
know a Lambda authorizer's ``Unauthorized``. This gateway answers as the deployed one does, from the same
`.chalice/resources.json`. It is a development server: nothing of it runs in AWS.
"""

import json
import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import (
    ForbiddenError,
    InvalidAuthorizerError,
    LocalChalice,
    LocalGateway,
    NotAuthorizedError,
)

PROJECT = Path(__file__).parent.parent
LAMBDA_TIMEOUT_SECONDS = 28
MAX_BODY_BYTES = 10 * 1024 * 1024

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

    def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, Any]:
        """The answer to a request, whoever gives it: the application or the gateway."""
        request_id = str(uuid.uuid4())
        context = self._generate_lambda_context()
        try:
            event = self._generate_lambda_event(method, path, headers, body)
        except ValueError:  # no such path
            return self.refuse("MISSING_AUTHENTICATION_TOKEN", request_id)
        event["requestContext"]["requestId"] = request_id
        if method not in self._app_object.routes[event["requestContext"]["resourcePath"]]:
            return self.refuse("MISSING_AUTHENTICATION_TOKEN", request_id)
        try:
            event, context = self._authorizer.authorize(path, event, context)
        except Exception as refusal:  # noqa: BLE001 - whatever an authorizer raises, API Gateway answers
            return self.refuse(_kind(refusal), request_id)
        answer: dict[str, Any] = self._app_object(event, context)
        return answer

    def refuse(self, kind: str, request_id: str | None = None) -> dict[str, Any]:
        """API Gateway's own answer to a request that never reaches the application."""
        return self.RESPONSES[kind].render(request_id or str(uuid.uuid4()))


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


class GatewayServer(ThreadingHTTPServer):
    """Serves an application over HTTP on ``host:port``; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: Chalice, *, host: str = "127.0.0.1", port: int = 0) -> None:
        if not isinstance(app, LocalChalice):
            # Chalice keeps the current request on the application; here each thread needs its own.
            app.__class__ = type("ThreadedChalice", (LocalChalice, type(app)), {})
        self.gateway = Gateway(app)
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def serve_in_background(self) -> None:
        """Serves until :meth:`shutdown`."""
        threading.Thread(target=self.serve_forever, name="gateway", daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes, which Nagle would hold back 40 ms
    timeout = 65
    server: GatewayServer

    def __getattr__(self, name: str) -> Any:
        # Every method goes to the gateway, those that HTTP does not know as well.
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._send(self.server.gateway.refuse("REQUEST_TOO_LARGE"))
            return
        body = self.rfile.read(int(length)) or None
        self._send(self.server.gateway.handle_request(self.command, self.path, dict(self.headers), body))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuses what is not HTTP in the words of the contract; the parameters are the base class's."""
        self.close_connection = True
        self._send(self.server.gateway.refuse("BAD_REQUEST_PARAMETERS"))

    def _send(self, answer: dict[str, Any]) -> None:
        status = answer["statusCode"]
        payload = (answer["body"] or "").encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **answer["headers"]}.items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        logger.info("%s %s", self.address_string(), format % args)
