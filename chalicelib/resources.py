"""The API's resources: each reads a request, calls one use case, and says what the answer is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

from chalicelib import answers, api_reference, registrar_formats
from chalicelib.access import Caller
from chalicelib.errors import BadRequest, InternalError, MethodNotAllowed, NotFound, ServiceError
from chalicelib.invocations import grace, presented_key
from chalicelib.registrar import Digest
from chalicelib.services import Services
from chalicelib.telemetry import count_reset, logger


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A request: headers with all their values, the caller as the authorizer said. Its ``repr`` shows nothing."""

    id: str
    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, Sequence[str]]
    body: bytes
    caller: Mapping[str, str]

    def header(self, name: str) -> list[str]:
        """All values of a header, whose name has no case (RFC 9110, section 5.1)."""
        return [value for given, values in self.headers.items() if given.lower() == name for value in values]


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer; ``body`` is a text, or what becomes JSON. Its ``repr`` shows nothing of it."""

    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


Resource = Callable[[Services, Request], Answer]


def answer(resource: Resource, services: Callable[[], Services], request: Request) -> Answer:
    """What ``resource`` answers; every error has the body of the contract, and what nobody expected is a 500."""
    logger.thread_safe_append_keys(requestId=request.id)
    try:
        given = resource(services(), request)
    except ServiceError as error:
        refusal = error
    except Exception:  # the last boundary: the cause goes to the log, never to the caller
        logger.exception("unexpected failure")
        refusal = InternalError()
    else:
        return Answer(given.body, {**_STANDARD, **given.headers}, given.status)
    if resource is reset:
        count_reset("http", refusal.message)
    return Answer(refusal.body(request.id), _STANDARD, refusal.code)


def refusal_of_method(request: Request, allowed: tuple[str, ...]) -> Answer:
    """The answer to every method that a resource does not take, and to OPTIONS: nothing happens."""
    allow = {"Allow": ", ".join((*allowed, "OPTIONS"))}
    if request.method == "OPTIONS":
        return Answer("", {**_STANDARD, **allow}, 204)
    refusal = MethodNotAllowed(f"Use {' or '.join(allowed)}")
    return Answer(refusal.body(request.id), {**_STANDARD, **allow}, refusal.code)


def reset(services: Services, request: Request) -> Answer:
    """Resets the phone and answers with the whole of it, new credentials included."""
    caller = _caller(request)
    done = services.resets.reset(
        request.path["sipPhoneId"],
        scope=caller.scope(),
        changed_by=caller.name,
        changed_via="http",
        request_key=presented_key(request.header("idempotency-key")),
        grace=grace(_number(request.query.get("grace", "0"))),
    )
    return Answer(done.phone.document(), answers.reset_headers(done))


def digest(services: Services, request: Request) -> Answer:
    """The digests of a username, for any registrar that reads JSON."""
    found = services.registrar.digest(
        unquote(request.path["username"]),
        scope=_caller(request).registrar_scope(),
        realm=request.query.get("realm"),
    )
    return Answer(registrar_formats.document(found), _may_be_kept(services, found))


def freeswitch(services: Services, request: Request) -> Answer:
    """The directory entry that FreeSWITCH's mod_xml_curl asks for."""
    scope = _caller(request).registrar_scope()
    asked = _form(request)
    xml = {"Content-Type": "text/xml"}
    if asked.get("section") != "directory" or not asked.get("user") or not asked.get("domain"):
        return Answer(registrar_formats.FREESWITCH_NOT_FOUND, xml)
    try:
        found = services.registrar.digest(asked["user"], scope=scope, realm=asked["domain"])
    except NotFound:
        return Answer(registrar_formats.FREESWITCH_NOT_FOUND, xml)
    max_age = _max_age(services, found)
    return Answer(
        registrar_formats.freeswitch(found, domain=asked["domain"], max_age=max_age),
        {**xml, **_may_be_kept(services, found)},
    )


def asterisk(services: Services, request: Request) -> Answer:
    """The authentication object that Asterisk's res_config_curl asks for: one line, or nothing.

    Only a username can be asked for: no pattern finds anything.
    """
    scope = _caller(request).registrar_scope()
    family = request.path["family"]
    if family not in registrar_formats.ASTERISK_FAMILIES:
        raise NotFound("No such family; use " + " or ".join(sorted(registrar_formats.ASTERISK_FAMILIES)))
    text = {"Content-Type": "text/plain"}
    try:
        found = services.registrar.digest(_form(request).get("id", ""), scope=scope)
    except NotFound:
        return Answer("", text)
    return Answer(registrar_formats.asterisk(found, family=family), {**text, **_may_be_kept(services, found)})


def registered(services: Services, request: Request) -> Answer:
    """Takes note that a phone has registered: the proof which ends a grace period."""
    scope = _caller(request).registrar_scope()
    username = _form(request).get("username")
    if not isinstance(username, str):
        raise BadRequest("username: expected a text, in a form or a JSON object")
    return Answer(answers.registration(services.registrar.registered(username, scope=scope)))


def reference_page(_services: Services, request: Request) -> Answer:
    """The page that shows the API reference."""
    return _public(request, api_reference.page())


def reference_asset(_services: Services, request: Request) -> Answer:
    """What the page loads."""
    return _public(request, api_reference.asset(request.path["file"]))


def reference_document(_services: Services, request: Request) -> Answer:
    """The OpenAPI document."""
    return _public(request, api_reference.document())


def _public(request: Request, file: api_reference.File) -> Answer:
    """The file, or no more than that the caller has it already."""
    headers = {**_PUBLIC, "Content-Type": file.content_type, "ETag": file.tag}
    if file.tag in ", ".join(request.header("if-none-match")):
        return Answer("", headers, 304)
    return Answer(file.text, headers)


def _caller(request: Request) -> Caller:
    return Caller.from_context(request.caller)


def _form(request: Request) -> dict[str, Any]:
    """The properties that a body brings, as a form or as a JSON object."""
    text = request.body.decode(errors="replace")
    if text.lstrip().startswith("{"):
        try:
            properties: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError):
            raise BadRequest("body: expected a form or a JSON object") from None
        return properties
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=_FIELDS).items()}
    except ValueError:
        raise BadRequest(f"body: expected at most {_FIELDS} fields") from None


def _number(text: str) -> int | str:
    """The number that a text writes in decimal digits, or the text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else text


def _max_age(services: Services, found: Digest) -> timedelta:
    """How long a registrar may keep what was found: never past the end of a grace period."""
    if found.valid_until is None:
        return services.digest_max_age
    return min(services.digest_max_age, found.valid_until - services.clock())


def _may_be_kept(services: Services, found: Digest) -> dict[str, str]:
    return {"Cache-Control": f"private, max-age={_max_age(services, found) // timedelta(seconds=1)}"}


_STANDARD = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_PUBLIC = {
    "Cache-Control": "public, max-age=3600",
    # The page runs its own scripts, asks its own API, and is nobody's frame.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_DIGITS = 10
_FIELDS = 200  # FreeSWITCH sends about eighty
