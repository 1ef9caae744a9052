"""Entry points: what API Gateway, EventBridge and Lambda call. Parses, calls one use case, maps the result."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

from chalice.app import AuthRequest, AuthResponse, Chalice, Request, Response

from chalicelib import answers, tokens
from chalicelib.access import Caller
from chalicelib.errors import InternalError, MethodNotAllowed, ServiceError, Unauthorized
from chalicelib.invocations import (
    counted,
    idempotency_key,
    invoked,
    reset_invocation,
    rotation_invocation,
    time_left_of,
)
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from chalicelib.telemetry import count_authorization, count_reset, logger

RESET = "/pbx/sipphone/{sipPhoneId}/resetcredentials"
OTHER_METHODS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
ALLOW = {"Allow": "GET, POST, OPTIONS"}

app = Chalice(app_name="sip-credentials", configure_logs=False)


@functools.cache
def services() -> Services:
    """The services of this process, made at the first call."""
    return connect(Settings.from_env())


@app.authorizer(name="api_token", ttl_seconds=60)
def api_token(presented: AuthRequest) -> AuthResponse:
    """Lambda authorizer: ``Authorization: Bearer <token>`` becomes the caller's level and owner.

    The policy covers the whole API, because API Gateway caches it by token and not by path.
    """
    try:
        caller = tokens.verify(tokens.of_bearer(presented.token), now=services().clock())
    except Unauthorized:
        count_authorization("refused")
        # The one text that API Gateway answers with 401.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the text counts, not the class
    except Exception:
        count_authorization("failed")
        raise
    count_authorization("granted")
    return AuthResponse(routes=["*"], principal_id=caller.name, context=caller.context())


def request() -> Request:
    """The HTTP request being answered."""
    return cast(Request, app.current_request)  # only views ask, and Chalice sets it before it calls them


def respond(body: Any, headers: Mapping[str, str] = {}, *, status: int = 200) -> Response:
    """An answer as JSON, which nobody may store."""
    standard = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, {**standard, **headers}, status)


def over_http(view: Callable[..., Response]) -> Callable[..., Response]:
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
        count_reset("http", answer.message)
        return respond(answer.body(request_id), status=answer.code)

    return answering


@app.route(RESET, methods=("GET", "POST"), authorizer=api_token, content_types=[])
@over_http
def reset_credentials_over_http(**path: str) -> Response:
    """Resets the phone and answers with the whole of it, new credentials included."""
    caller = Caller.from_context(request().context["authorizer"])
    key = request().headers.get("Idempotency-Key")
    reset = services().resets.reset(
        path["sipPhoneId"],
        scope=caller.scope(),
        changed_by=caller.name,
        changed_via="http",
        request_key=None if key is None else idempotency_key(key, "Idempotency-Key"),
    )
    return respond(reset.phone.document(), answers.reset_headers(reset))


@app.route(RESET, methods=OTHER_METHODS, content_types=[])
def refuse_method(**path: str) -> Response:  # noqa: ARG001 - Chalice passes the path
    """Answers every other method without touching the phone."""
    if request().method == "OPTIONS":
        return respond("", ALLOW, status=204)
    refusal = MethodNotAllowed()
    return respond(refusal.body(request().context["requestId"]), ALLOW, status=refusal.code)


@app.lambda_function(name="reset_credentials")
@counted("lambda")
@invoked
def reset_credentials(event: Any, context: Any) -> dict[str, Any]:
    """Resets a phone for another AWS workflow; credentials are in the answer only when asked for."""
    asked = reset_invocation(event, request_id=context.aws_request_id)
    reset = services().resets.reset(
        asked.phone_id,
        scope=asked.scope,
        changed_by=asked.asked_by,
        changed_via="lambda",
        request_key=asked.request_key,
        reason=asked.reason,
    )
    return answers.reset_output(reset, include_credentials=asked.include_credentials)


@app.lambda_function(name="schedule_rotation")
@invoked
def schedule_rotation(event: Any, context: Any) -> dict[str, Any]:
    """Gives many phones a date for their rotation, or their regular dates back."""
    asked = rotation_invocation(event, request_id=context.aws_request_id, now=services().clock())
    plan = services().planning.plan(
        asked.selection,
        asked.window,
        request_key=asked.request_key,
        dry_run=asked.dry_run,
        time_left=time_left_of(context),
    )
    return answers.plan_output(plan)


@app.lambda_function(name="tend")
@invoked
def tend(_event: Any, context: Any) -> dict[str, Any]:
    """Tends the phones whose date has come. Called by a schedule, whatever its event says."""
    return answers.sweep_output(services().tending.tend(time_left_of(context)))
