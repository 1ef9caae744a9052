"""Entry points: what API Gateway and Lambda call. Parses, calls one use case, maps the result."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from chalice.app import AuthRequest, AuthResponse, Chalice, Request, Response

from chalicelib import tokens
from chalicelib.access import Caller
from chalicelib.errors import BadRequest, InternalError, MethodNotAllowed, ServiceError, Unauthorized
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from chalicelib.telemetry import logger

RESET = "/pbx/sipphone/{sipPhoneId}/resetcredentials"
OTHER_METHODS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
ALLOW = "GET, POST, OPTIONS"

app = Chalice(app_name="sip-credentials", configure_logs=False)


@functools.cache
def services() -> Services:
    """The services of this process, made at the first call."""
    return connect(Settings.from_env())


def request() -> Request:
    """The request being answered."""
    return cast(Request, app.current_request)  # only views ask, and Chalice sets it before it calls them


def respond(body: Any, headers: Mapping[str, str] = {}, *, status: int = 200) -> Response:
    """An answer as JSON, which nobody may store."""
    standard = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, {**standard, **headers}, status)


def answers(view: Callable[..., Response]) -> Callable[..., Response]:
    """Makes a view answer every error with the body of the contract; what it did not expect is a 500."""

    @functools.wraps(view)
    def answering(**path: str) -> Response:
        request_id: str = request().context["requestId"]
        logger.thread_safe_append_keys(requestId=request_id)
        try:
            return view(**path)
        except ServiceError as error:
            answer = error
        except Exception:  # noqa: BLE001 - the last boundary: the cause goes to the log, never to the caller
            logger.exception("unexpected failure")
            answer = InternalError()
        return respond(answer.body(request_id), status=answer.code)

    return answering


@app.authorizer(name="api_token", ttl_seconds=60)
def api_token(presented: AuthRequest) -> AuthResponse:
    """Lambda authorizer: ``Authorization: Bearer <token>`` becomes the caller's level and owner.

    The policy covers the whole API, because API Gateway caches it by token and not by path.
    """
    try:
        scheme, _, token = presented.token.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized
        caller = tokens.verify(token.strip(), now=services().clock())
    except Unauthorized:
        # The one text that API Gateway answers with 401.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the text counts, not the class
    context = {
        "accessLevel": caller.level,
        "customer": caller.customer,
        "reseller": caller.reseller,
        "tokenId": caller.name,
    }
    return AuthResponse(
        routes=["*"],
        principal_id=caller.name,
        context={name: value for name, value in context.items() if value is not None},
    )


@app.route(RESET, methods=("GET", "POST"), authorizer=api_token, content_types=[])
@answers
def reset_credentials_over_http(**path: str) -> Response:
    """Resets the phone and answers with the whole of it, new credentials included."""
    caller = caller_of(request().context["authorizer"])
    reset = services().resets.reset(
        path["sipPhoneId"],
        scope=caller.scope(),
        changed_by=caller.name,
        changed_via="http",
        request_key=idempotency_key(request().headers.get("Idempotency-Key")),
    )
    headers = {
        "Credentials-Id": reset.phone.credentials_id,
        "Credentials-Mirror": "current" if reset.mirrored else "pending",
    }
    if reset.replayed:
        headers["Idempotent-Replayed"] = "true"
    return respond(reset.phone.document(), headers)


@app.route(RESET, methods=OTHER_METHODS, content_types=[])
@answers
def refuse_method(**path: str) -> Response:  # noqa: ARG001 - Chalice passes the path
    """Answers every other method without touching the phone."""
    if request().method == "OPTIONS":
        return respond("", {"Allow": ALLOW}, status=204)
    refusal = MethodNotAllowed()
    return respond(refusal.body(request().context["requestId"]), {"Allow": ALLOW}, status=refusal.code)


def caller_of(context: dict[str, Any]) -> Caller:
    """The caller as the authorizer described it."""
    return Caller(
        name=context["tokenId"],
        level=context["accessLevel"],
        customer=context.get("customer"),
        reseller=context.get("reseller"),
    )


def idempotency_key(header: str | None) -> str | None:
    """The request's key. Raises :class:`BadRequest` unless it is 1 to 255 printable ASCII characters."""
    if header is not None and not re.fullmatch(r"[ -~]{1,255}", header):
        raise BadRequest("Idempotency-Key: expected 1 to 255 printable ASCII characters")
    return header
