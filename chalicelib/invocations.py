"""What the Lambda functions are asked, checked property by property.

An input may come bare, or as the ``detail`` of an EventBridge event: then the event's id is the idempotency key
that it does not bring itself. Every problem is a :class:`~chalicelib.errors.BadRequest` that names the property.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

from chalicelib.access import EVERY_PHONE, Caller, Scope
from chalicelib.errors import BadRequest, InternalError, NotFound, ServiceError
from chalicelib.phones import canonical_id
from chalicelib.planning import Selection, Window
from chalicelib.telemetry import count_reset, logger

Invocation = Callable[[Any, Any], dict[str, Any]]

LONGEST_GRACE = timedelta(days=7)
MAX_REASON = 200
MAX_TEXT = 255
MAX_PHONES = 10_000
DEFAULT_WINDOW = timedelta(hours=1)
LONGEST_WINDOW = timedelta(days=366)

_KEY = re.compile(r"[ -~]{1,255}")
_DURATION = re.compile(
    r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ResetInvocation:
    """What `reset_credentials` is asked."""

    phone_id: str
    request_key: str
    include_credentials: bool
    scope: Scope
    asked_by: str
    reason: str | None
    grace: timedelta


@dataclass(frozen=True, slots=True)
class RotationInvocation:
    """What `schedule_rotation` is asked."""

    selection: Selection
    window: Window | None
    """None to cancel what was planned."""
    request_key: str
    dry_run: bool


def invoked(function: Invocation) -> Invocation:
    """Makes a Lambda function fail with the exceptions of `errors` only, which its callers can match."""

    @functools.wraps(function)
    def invocation(event: Any, context: Any) -> dict[str, Any]:
        logger.thread_safe_append_keys(requestId=context.aws_request_id)
        try:
            return function(event, context)
        except ServiceError:
            raise
        except Exception:  # the last boundary: the cause goes to the log, never to the caller
            logger.exception("unexpected failure")
            raise InternalError from None

    return invocation


def counted(via: str) -> Callable[[Invocation], Invocation]:
    """Makes a Lambda function that resets count its failures by their names."""

    def counting(function: Invocation) -> Invocation:
        @functools.wraps(function)
        def invocation(event: Any, context: Any) -> dict[str, Any]:
            try:
                return function(event, context)
            except ServiceError as error:
                count_reset(via, error.message)
                raise

        return invocation

    return counting


def time_left_of(context: Any) -> Callable[[], timedelta]:
    """How long the invocation of that Lambda context may still run."""
    return lambda: timedelta(milliseconds=context.get_remaining_time_in_millis())


def idempotency_key(value: Any, name: str) -> str:
    """A key that callers may use: 1 to 255 printable ASCII characters."""
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise BadRequest(f"{name}: expected 1 to 255 printable ASCII characters")


def grace(value: Any) -> timedelta:
    """A grace period, given in whole seconds."""
    longest = LONGEST_GRACE // timedelta(seconds=1)
    if type(value) is int and 0 <= value <= longest:
        return timedelta(seconds=value)
    raise BadRequest(f"grace: expected a whole number of seconds from 0 to {longest}")


def presented_key(values: Sequence[str]) -> str | None:
    """The key in the values of a request's `Idempotency-Key`, None without one.

    Raises :class:`BadRequest` for a malformed one, and for several that differ: nobody knows which is meant.
    """
    presented = {*values}
    if len(presented) > 1:
        raise BadRequest("Idempotency-Key: expected one, got several that differ")
    return idempotency_key(presented.pop(), "Idempotency-Key") if presented else None


def reset_invocation(event: Any, *, request_id: str) -> ResetInvocation:
    """Reads the input of `reset_credentials`. Without a key of its own, ``request_id`` is its key.

    Lambda gives every retry of one asynchronous invocation the same request id.
    """
    given, key, source = _unwrapped(event, request_id)
    allowed = {"sipPhoneId", "idempotencyKey", "includeCredentials", "onBehalfOf", "reason", "grace"}
    _refuse_unknown(given, allowed)
    on_behalf_of = given.get("onBehalfOf")
    caller = None if on_behalf_of is None else _caller(on_behalf_of)
    return ResetInvocation(
        phone_id=_text(given, "sipPhoneId", "24 hex digits"),
        request_key=idempotency_key(given.get("idempotencyKey", key), "idempotencyKey"),
        include_credentials=_flag(given, "includeCredentials"),
        scope=EVERY_PHONE if caller is None else caller.scope(),
        asked_by=source,
        reason=_reason(given.get("reason")),
        grace=grace(given.get("grace", 0)),
    )


def rotation_invocation(event: Any, *, request_id: str, now: datetime) -> RotationInvocation:
    """Reads the input of `schedule_rotation`, like :func:`reset_invocation`.

    The window starts ``now``, unless the input says when.
    """
    given, key, _ = _unwrapped(event, request_id)
    whom = {"customer", "sipPhoneIds", "fleet"}
    when = {"over", "notBefore"}
    _refuse_unknown(given, whom | when | {"idempotencyKey", "dryRun", "cancel"})
    if len(given.keys() & whom) != 1:
        raise BadRequest("customer, sipPhoneIds, fleet: expected exactly one of them")
    cancel = _flag(given, "cancel")
    if cancel and given.keys() & when:
        raise BadRequest("over, notBefore: expected neither with cancel")
    return RotationInvocation(
        selection=_selection(given),
        window=None if cancel else _window(given, now),
        request_key=idempotency_key(given.get("idempotencyKey", key), "idempotencyKey"),
        dry_run=_flag(given, "dryRun"),
    )


def _unwrapped(event: Any, request_id: str) -> tuple[Mapping[str, Any], str, str]:
    """The input, the key it has if it brings none, and who asks."""
    if not isinstance(event, dict):
        raise BadRequest("input: expected an object")
    if {"detail-type", "source", "id", "detail"} <= event.keys():
        if not isinstance(event["detail"], dict):
            raise BadRequest("detail: expected an object")
        if not isinstance(event["source"], str):
            raise BadRequest("source: expected a text")
        return event["detail"], idempotency_key(event["id"], "id"), _shown(f"event {event['source']}")
    return event, request_id, "lambda"


def _refuse_unknown(given: Mapping[str, Any], allowed: set[str]) -> None:
    if unknown := given.keys() - allowed:
        names = ", ".join(sorted(_shown(name) for name in unknown))
        raise BadRequest(f"{names[:_NAMES_SHOWN]}: unknown property; expected {', '.join(sorted(allowed))}")


def _shown(name: str) -> str:
    """A name that a stranger chose, short, and in characters that DynamoDB takes and Lambda can write."""
    return name[:_NAME_SHOWN].encode(errors="replace").decode()


def _caller(value: Any) -> Caller:
    if not isinstance(value, dict):
        raise BadRequest("onBehalfOf: expected an object")
    _refuse_unknown(value, {"accessLevel", "customer", "reseller"})
    return Caller(
        name="",
        level=_text(value, "accessLevel", _OWNER),
        customer=_text(value, "customer", _OWNER) if "customer" in value else None,
        reseller=_text(value, "reseller", _OWNER) if "reseller" in value else None,
    )


def _selection(given: Mapping[str, Any]) -> Selection:
    if "customer" in given:
        return Selection(customer=_text(given, "customer", _OWNER))
    if "fleet" in given:
        if given["fleet"] is not True:
            raise BadRequest("fleet: expected true")
        return Selection()
    ids = given["sipPhoneIds"]
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_PHONES:
        raise BadRequest(f"sipPhoneIds: expected a list of 1 to {MAX_PHONES:,} ids")
    return Selection(phone_ids=list(dict.fromkeys(_phone_id(value, place) for place, value in enumerate(ids))))


def _window(given: Mapping[str, Any], now: datetime) -> Window:
    start = max(now, _moment(given["notBefore"])) if "notBefore" in given else now
    start = (start + timedelta(microseconds=999_999)).replace(microsecond=0)  # the agenda keeps whole seconds
    length = _duration(given["over"]) if "over" in given else DEFAULT_WINDOW
    if start.year >= MAXYEAR:
        raise BadRequest(f"notBefore: expected a date before the year {MAXYEAR}")
    return Window(start, length)


def _phone_id(value: Any, place: int) -> str:
    try:
        return canonical_id(value)
    except (NotFound, TypeError):
        raise BadRequest(f"sipPhoneIds[{place}]: expected 24 hex digits") from None


def _text(given: Mapping[str, Any], name: str, expected: str) -> str:
    value = given.get(name)
    if _is_text(value, most=MAX_TEXT) and value:
        return str(value)
    raise BadRequest(f"{name}: expected {expected}")


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if isinstance(value, bool):
        return value
    raise BadRequest(f"{name}: expected true or false")


def _reason(value: Any) -> str | None:
    if value is None or _is_text(value, most=MAX_REASON):
        return value or None
    raise BadRequest(f"reason: expected a text of at most {MAX_REASON} characters")


def _is_text(value: Any, *, most: int) -> bool:
    if not isinstance(value, str) or len(value) > most:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)  # half of a surrogate pair


def _duration(value: Any) -> timedelta:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds, such as PT4H or P1DT12H."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or value.endswith(("P", "T")):
        raise BadRequest("over: expected an ISO 8601 duration such as PT4H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        length = LONGEST_WINDOW + DEFAULT_WINDOW
    if length > LONGEST_WINDOW:
        raise BadRequest(f"over: expected at most {LONGEST_WINDOW.days} days")
    return length


def _moment(value: Any) -> datetime:
    """An RFC 3339 date and time with its offset."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadRequest("notBefore: expected a date and time with its offset, such as 2026-01-31T22:00:00Z")


_OWNER = f"a text of 1 to {MAX_TEXT} characters"
_NAME_SHOWN = 40
_NAMES_SHOWN = 120
