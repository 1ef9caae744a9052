"""Entry points: what API Gateway, EventBridge and Lambda call. Parses, calls one use case, maps the result."""

import functools
from typing import Any, cast

from chalice.app import AuthRequest, AuthResponse, Chalice, Request, Response

from chalicelib import answers, resources, tokens
from chalicelib.errors import Unauthorized
from chalicelib.invocations import counted, invoked, reset_invocation, rotation_invocation, time_left_of
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from chalicelib.telemetry import count_authorization

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

app = Chalice(app_name="sip-credentials", configure_logs=False)


@functools.cache
def services() -> Services:
    """The services of this process, made at the first call."""
    return connect(Settings.from_env())


@app.authorizer(name="api_token", ttl_seconds=60)
def api_token(presented: AuthRequest) -> AuthResponse:
    """Lambda authorizer: the token in ``Authorization`` becomes the caller's level and owner.

    The policy covers the whole API, because API Gateway caches it by token and not by path.
    """
    try:
        caller = tokens.verify(tokens.presented(presented.token), now=services().clock())
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


def serve(path: str, resource: resources.Resource, *methods: str, public: bool = False) -> None:
    """Serves ``resource`` under ``path`` to callers with a token; refuses all other methods to everyone.

    A ``public`` one needs no token.
    """

    def answering(**_path: str) -> Response:
        return respond(resources.answer(resource, services, request()))

    def refusing(**_path: str) -> Response:
        return respond(resources.refusal_of_method(request(), methods))

    name = resource.__name__
    authorizer = None if public else api_token
    app.route(path, name=name, methods=methods, authorizer=authorizer, content_types=[])(answering)
    others = [method for method in METHODS if method not in methods]
    app.route(path, name=f"{name}_refusal", methods=others, content_types=[])(refusing)


def request() -> resources.Request:
    """The HTTP request being answered."""
    asked = cast(Request, app.current_request)  # only views ask, and Chalice sets it before it calls them
    return resources.Request(
        id=asked.context["requestId"],
        method=asked.method,
        path=asked.uri_params or {},
        query=asked.query_params or {},
        headers=asked.to_original_event().get("multiValueHeaders") or {},
        body=cast(bytes, asked.raw_body),
        caller=asked.context.get("authorizer") or {},
    )


def respond(answer: resources.Answer) -> Response:
    """The answer as Chalice gives it to API Gateway."""
    return Response(answer.body, dict(answer.headers), answer.status)


serve("/pbx/sipphone/{sipPhoneId}/resetcredentials", resources.reset, "GET", "POST")
serve("/registrar/digest/{username}", resources.digest, "GET")
serve("/registrar/freeswitch", resources.freeswitch, "POST")
serve("/registrar/asterisk/{family}/single", resources.asterisk, "POST")
serve("/registrar/asterisk/{family}/multi", resources.asterisk, "POST")
serve("/registrar/registered", resources.registered, "POST")
serve("/openapi.json", resources.reference_document, "GET", public=True)
serve("/docs", resources.reference_page, "GET", public=True)
serve("/docs/{file}", resources.reference_asset, "GET", public=True)


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
        grace=asked.grace,
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
