"""What the Lambda functions may be asked, and how a wrong question is refused."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.access import EVERY_PHONE, Scope
from chalicelib.errors import AccessDenied, BadRequest
from chalicelib.invocations import (
    ResetInvocation,
    RotationInvocation,
    idempotency_key,
    presented_key,
    reset_invocation,
    rotation_invocation,
)
from chalicelib.planning import Selection, Window

PHONE = "5F0000000000000000000001"
REQUEST = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def enveloped(detail: Any, **changed: Any) -> dict[str, Any]:
    """An input as EventBridge delivers it."""
    envelope = {"version": "0", "id": "7bf73129", "detail-type": "SIP Fraud Alarm", "source": "fraud.detection"}
    return {**envelope, "detail": detail, **changed}


def reset_asked(**properties: Any) -> ResetInvocation:
    return reset_invocation({"sipPhoneId": PHONE, **properties}, request_id=REQUEST)


def rotation_asked(**properties: Any) -> RotationInvocation:
    return rotation_invocation(properties, request_id=REQUEST, now=NOW)


def refused(name: str) -> Any:
    """Expects a refusal that begins with the name of what is wrong."""
    return pytest.raises(BadRequest, match=f"^{re.escape(name)}: ")


def test_a_bare_input_is_for_every_phone_and_its_key_is_the_request_id() -> None:
    expected = ResetInvocation(
        phone_id=PHONE,
        request_key=REQUEST,
        include_credentials=False,
        scope=EVERY_PHONE,
        asked_by="lambda",
        reason=None,
        grace=timedelta(0),
    )
    assert reset_asked() == expected


def test_the_detail_of_an_event_is_the_input_and_the_events_id_the_key() -> None:
    asked = reset_invocation(enveloped({"sipPhoneId": PHONE, "reason": "fraud"}), request_id=REQUEST)
    assert (asked.phone_id, asked.reason) == (PHONE, "fraud")
    assert asked.request_key == "7bf73129"
    assert asked.asked_by == "event fraud.detection"


def test_the_detail_of_an_event_is_the_input_of_a_rotation_too() -> None:
    asked = rotation_invocation(enveloped({"customer": "C"}), request_id=REQUEST, now=NOW)
    assert asked == RotationInvocation(Selection(customer="C"), Window(NOW, HOUR), "7bf73129", dry_run=False)


def test_a_key_of_the_inputs_own_wins() -> None:
    own = {"idempotencyKey": "own"}
    detail = {"sipPhoneId": PHONE, **own}
    assert reset_asked(**own).request_key == "own"
    assert reset_invocation(enveloped(detail), request_id=REQUEST).request_key == "own"
    assert rotation_asked(customer="C", **own).request_key == "own"
    rotation = rotation_invocation(enveloped({"fleet": True, **own}), request_id=REQUEST, now=NOW)
    assert rotation.request_key == "own"


def test_the_name_of_an_events_source_is_kept_short() -> None:
    asked = reset_invocation(enveloped({"sipPhoneId": PHONE}, source="s" * 5_000), request_id=REQUEST)
    assert asked.asked_by.startswith("event sss")
    assert len(asked.asked_by) <= 40


@pytest.mark.parametrize(
    ("caller", "scope"),
    [
        ({"accessLevel": "VIEWER", "customer": "C"}, Scope("customer", "C")),
        ({"accessLevel": "MANAGER", "customer": "C"}, Scope("customer", "C")),
        ({"accessLevel": "OWNER", "customer": "C"}, Scope("customer", "C")),
        ({"accessLevel": "OWNER", "customer": "C", "reseller": "R"}, Scope("customer", "C")),
        ({"accessLevel": "RESELLER", "reseller": "R"}, Scope("reseller", "R")),
        ({"accessLevel": "RESELLER", "customer": "C", "reseller": "R"}, Scope("reseller", "R")),
        ({"accessLevel": "ADMIN"}, EVERY_PHONE),
        ({"accessLevel": "ADMIN", "customer": "C"}, EVERY_PHONE),
        (None, EVERY_PHONE),
    ],
)
def test_on_behalf_of_a_user_only_the_users_phones_exist(caller: Any, scope: Scope) -> None:
    assert reset_asked(onBehalfOf=caller).scope == scope


@pytest.mark.parametrize(
    "caller",
    [
        {"accessLevel": "PERSONAL", "customer": "C"},
        {"accessLevel": "NO_LOGIN", "customer": "C"},
        {"accessLevel": "owner", "customer": "C"},
        {"accessLevel": "ROOT"},
        {"accessLevel": "OWNER"},
        {"accessLevel": "OWNER", "reseller": "R"},
        {"accessLevel": "RESELLER"},
        {"accessLevel": "RESELLER", "customer": "C"},
    ],
)
def test_a_level_that_may_not_reset_or_lacks_its_owner_is_denied(caller: dict[str, str]) -> None:
    with pytest.raises(AccessDenied):
        reset_asked(onBehalfOf=caller)


@pytest.mark.parametrize(("given_reason", "reason"), [("r" * 200, "r" * 200), ("ü" * 200, "ü" * 200), ("", None)])
def test_a_reason_has_up_to_200_characters(given_reason: str, reason: str | None) -> None:
    assert reset_asked(reason=given_reason).reason == reason


@pytest.mark.parametrize("flag", [True, False])
def test_flags_are_taken_as_they_are(flag: bool) -> None:
    assert reset_asked(includeCredentials=flag).include_credentials == flag
    assert rotation_asked(fleet=True, dryRun=flag).dry_run == flag


@pytest.mark.parametrize("key", ["k", " ", "~" * 255, 'Key: "1"'])
def test_a_key_is_printable_ascii(key: str) -> None:
    assert idempotency_key(key, "Idempotency-Key") == key


@pytest.mark.parametrize(
    "key", ["", "k" * 256, "schlüssel", "a\nb", "k\n", "\x7f", "\x00", None, 7, True, ["k"], {}]
)
def test_any_other_key_is_refused_under_the_name_that_it_has_there(key: Any) -> None:
    for name in ("Idempotency-Key", "idempotencyKey"):
        with refused(name):
            idempotency_key(key, name)


def test_a_request_may_come_without_a_key() -> None:
    assert presented_key([]) is None


@pytest.mark.parametrize("values", [["k"], ["k", "k"]])
def test_the_header_of_a_request_is_its_key(values: list[str]) -> None:
    assert presented_key(values) == "k"


@pytest.mark.parametrize("values", [["k", "l"], ["k", ""], [""], ["k" * 256]])
def test_a_malformed_header_and_keys_that_differ_are_refused(values: list[str]) -> None:
    with refused("Idempotency-Key"):
        presented_key(values)


WRONG_TYPES: list[Any] = [None, 0, 1, 1.5, "", "true", [], ["x"], {}, {"x": 1}]
NO_UNICODE = "\ud800"  # JSON can write half a character, and DynamoDB refuses it

NO_TEXTS = [value for value in WRONG_TYPES if value == "" or not isinstance(value, str)] + [True]
BAD_RESETS = [
    *(("sipPhoneId", {"sipPhoneId": value}) for value in NO_TEXTS),
    *(("includeCredentials", {"includeCredentials": value}) for value in WRONG_TYPES),
    *(("idempotencyKey", {"idempotencyKey": value}) for value in [*NO_TEXTS, "k" * 256, "ü"]),
    *(("reason", {"reason": value}) for value in [True, 1, ["r"], {"r": 1}, "r" * 201, NO_UNICODE]),
    *(("onBehalfOf", {"onBehalfOf": value}) for value in [True, 1, "", "OWNER", [], [{"accessLevel": "ADMIN"}]]),
    *(("accessLevel", {"onBehalfOf": {"accessLevel": value}}) for value in NO_TEXTS),
    ("accessLevel", {"onBehalfOf": {"customer": "C"}}),
    *(
        ("customer", {"onBehalfOf": {"accessLevel": "OWNER", "customer": value}})
        for value in [*NO_TEXTS, NO_UNICODE]
    ),
    *(("reseller", {"onBehalfOf": {"accessLevel": "RESELLER", "reseller": value}}) for value in NO_TEXTS),
    ("level", {"onBehalfOf": {"accessLevel": "ADMIN", "level": 9}}),
    ("password", {"password": "chosen-by-the-caller"}),
    ("SipPhoneId", {"SipPhoneId": PHONE}),
    ("extra, surplus", {"surplus": 1, "extra": 2}),
]


@pytest.mark.parametrize(("name", "properties"), BAD_RESETS)
def test_a_malformed_reset_is_refused_by_the_name_of_what_is_wrong(name: str, properties: dict[str, Any]) -> None:
    bare = {"sipPhoneId": PHONE, **properties}
    for event in (bare, enveloped(bare)):
        with refused(name) as refusal:
            reset_invocation(event, request_id=REQUEST)
        assert "chosen-by-the-caller" not in str(refusal.value)


def test_a_reset_without_a_phone_is_refused() -> None:
    with refused("sipPhoneId"):
        reset_invocation({}, request_id=REQUEST)


def test_a_refusal_is_short_whatever_it_refuses() -> None:
    with pytest.raises(BadRequest) as refusal:
        reset_asked(**{f"{place:0500}": place for place in range(500)})
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("event", [None, [], [{}], "", PHONE, 0, 42, 1.5, True])
def test_an_input_that_is_no_object_is_refused(event: Any) -> None:
    with refused("input"):
        reset_invocation(event, request_id=REQUEST)
    with refused("input"):
        rotation_invocation(event, request_id=REQUEST, now=NOW)
    with refused("detail"):
        reset_invocation(enveloped(event), request_id=REQUEST)
    with refused("detail"):
        rotation_invocation(enveloped(event), request_id=REQUEST, now=NOW)


@pytest.mark.parametrize("event_id", ["", None, 7, {}, "k" * 256])
def test_an_event_whose_id_can_be_no_key_is_refused(event_id: Any) -> None:
    with pytest.raises(BadRequest):
        reset_invocation(enveloped({"sipPhoneId": PHONE}, id=event_id), request_id=REQUEST)


def test_a_rotation_starts_now_and_takes_an_hour_unless_it_says_otherwise() -> None:
    assert rotation_asked(customer="C") == RotationInvocation(
        Selection(customer="C"), Window(NOW, HOUR), REQUEST, dry_run=False
    )
    asked = rotation_asked(fleet=True, over="PT4H", notBefore="2026-02-01T00:00:00+02:00")
    assert asked.selection == Selection()
    assert asked.window == Window(datetime(2026, 1, 31, 22, tzinfo=UTC), timedelta(hours=4))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T22:00:00Z", datetime(2026, 1, 31, 22, tzinfo=UTC)),
        ("2026-01-31T22:00:00.250Z", datetime(2026, 1, 31, 22, 0, 1, tzinfo=UTC)),  # not before it, in seconds
        ("2026-01-31T22:00:00-08:00", datetime(2026, 2, 1, 6, tzinfo=UTC)),
        ("2026-03-29T02:30:00+01:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
def test_the_windows_start_is_kept_in_utc(text: str, moment: datetime) -> None:
    window = rotation_asked(fleet=True, notBefore=text).window
    assert window is not None
    assert (window.start, window.start.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    ("over", "length"),
    [
        ("PT1H", HOUR),
        ("PT90M", timedelta(minutes=90)),
        ("PT3600S", HOUR),
        ("P1D", timedelta(days=1)),
        ("P1W", timedelta(days=7)),
        ("P1W1DT1H", timedelta(days=8, hours=1)),
        ("P1DT12H30M5S", timedelta(days=1, hours=12, minutes=30, seconds=5)),
        ("P366D", timedelta(days=366)),
        ("PT0S", timedelta(0)),
    ],
)
def test_the_windows_length_is_an_iso_duration(over: str, length: timedelta) -> None:
    assert rotation_asked(customer="C", over=over).window == Window(NOW, length)


BAD_DURATIONS = [
    *WRONG_TYPES, True, "P", "PT", "1H", "P1H", "PT1D", "P1DT", "PT-1H", "-PT1H", "P1Y", "P1M", "PT1.5H", "PT1,5H",
    "pt1h", " PT1H", "PT1H\n", "PT1M1H", "P٣D", "PT²H", "P367D", "P366DT1S", "P53W", "P999999999999D",
    "PT" + "9" * 400 + "S", "P" + "9" * 5_000 + "D",
]  # fmt: skip
BAD_MOMENTS = [
    *WRONG_TYPES, True, "2026-01-31", "2026-01-31T22:00:00", "22:00:00Z", "2026-02-30T22:00:00Z", "tomorrow",
    "2026-01-31T25:00:00Z", "2026-01-31T22:00:00+25:00", "\ud800", "٢٠٢٦-01-31T22:00:00Z",
    # No moment in UTC that a datetime could hold.
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
]  # fmt: skip
NO_LISTS: list[Any] = [None, True, 1, PHONE, {}, {PHONE: 1}, []]
BAD_ROTATIONS = [
    *(("customer", {"customer": value}) for value in [*NO_TEXTS, NO_UNICODE]),
    *(("fleet", {"fleet": value}) for value in [*WRONG_TYPES, False]),
    *(("over", {"fleet": True, "over": value}) for value in BAD_DURATIONS),
    *(("notBefore", {"fleet": True, "notBefore": value}) for value in BAD_MOMENTS),
    *(("dryRun", {"fleet": True, "dryRun": value}) for value in WRONG_TYPES),
    *(("cancel", {"fleet": True, "cancel": value}) for value in WRONG_TYPES),
    *(("idempotencyKey", {"fleet": True, "idempotencyKey": value}) for value in [*NO_TEXTS, "k" * 256]),
    *(("sipPhoneIds", {"sipPhoneIds": value}) for value in NO_LISTS),
    ("sipPhoneIds", {"sipPhoneIds": [PHONE] * 10_001}),
    *(("sipPhoneIds[1]", {"sipPhoneIds": [PHONE, value]}) for value in [*WRONG_TYPES, PHONE[1:], PHONE + "0"]),
    ("sipPhoneIds[0]", {"sipPhoneIds": ["5G0000000000000000000001", "malformed"]}),
    ("customer, sipPhoneIds, fleet", {}),
    ("customer, sipPhoneIds, fleet", {"customer": "C", "fleet": True}),
    ("customer, sipPhoneIds, fleet", {"customer": "C", "sipPhoneIds": [PHONE]}),
    ("customer, sipPhoneIds, fleet", {"customer": None, "sipPhoneIds": [PHONE]}),
    ("over, notBefore", {"fleet": True, "cancel": True, "over": "PT1H"}),
    ("over, notBefore", {"fleet": True, "cancel": True, "notBefore": "2026-01-31T22:00:00Z"}),
    ("reason", {"fleet": True, "reason": "because"}),
    ("sipPhoneId", {"sipPhoneId": PHONE}),
    ("window", {"customer": "C", "window": "PT1H"}),
]


@pytest.mark.parametrize(("name", "properties"), BAD_ROTATIONS)
def test_a_malformed_rotation_is_refused_by_the_name_of_what_is_wrong(
    name: str, properties: dict[str, Any]
) -> None:
    for event in (properties, enveloped(properties)):
        with refused(name):
            rotation_invocation(event, request_id=REQUEST, now=NOW)


def test_a_window_that_ends_after_all_dates_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"^(over|notBefore)"):
        rotation_asked(fleet=True, notBefore="9999-12-31T23:30:00Z", over="PT1H")


def test_listed_phones_are_taken_once_each_in_their_canonical_form() -> None:
    ids = ["5f00000000000000000000aa", PHONE, "5F00000000000000000000AA", PHONE.lower()]
    assert rotation_asked(sipPhoneIds=ids).selection == Selection(phone_ids=["5F00000000000000000000AA", PHONE])


def test_ten_thousand_phones_can_be_listed() -> None:
    ids = [f"{number:024X}" for number in range(10_000)]
    assert rotation_asked(sipPhoneIds=ids).selection == Selection(phone_ids=ids)


def test_to_cancel_needs_no_window() -> None:
    assert rotation_asked(customer="C", cancel=True).window is None
    assert rotation_asked(customer="C", cancel=False).window == Window(NOW, HOUR)


_texts = st.text(st.characters(), max_size=30)  # lone surrogates too: JSON can write them
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=8,
)
_offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_moments = st.datetimes(timezones=st.none() | _offsets).map(datetime.isoformat)
_durations = st.from_regex(r"P(\d{1,9}W)?(\d{1,9}D)?(T(\d{1,9}H)?(\d{1,9}M)?(\d{1,30}S)?)?", fullmatch=True)
_ids = st.from_regex(r"[0-9A-Fa-f]{24}", fullmatch=True)
_owners = {"customer": _json | st.just("C"), "reseller": _json | st.just("R")}
_callers = st.fixed_dictionaries(
    {"accessLevel": _json | st.sampled_from(["OWNER", "RESELLER", "ADMIN", "PERSONAL"])}, optional=_owners
)
_inputs = st.fixed_dictionaries(
    {},
    optional={
        "sipPhoneId": _json | _ids,
        "idempotencyKey": _json | st.just("k"),
        "includeCredentials": _json | st.booleans(),
        "onBehalfOf": _json | _callers,
        "reason": _json,
        "customer": _json | st.just("C"),
        "sipPhoneIds": _json | st.lists(_ids | _json, max_size=4),
        "fleet": _json | st.just(True),
        "over": _json | _durations,
        "notBefore": _json | _moments,
        "dryRun": _json | st.booleans(),
        "cancel": _json | st.booleans(),
    },
)
_events = st.one_of(
    _json,
    _inputs,
    _inputs.map(enveloped),
    st.builds(lambda detail, event_id, source: enveloped(detail, id=event_id, source=source), _json, _json, _json),
)


@given(event=_events)
@example(event={"sipPhoneId": PHONE, "onBehalfOf": {"accessLevel": ["OWNER"]}})
def test_whatever_a_reset_is_asked_it_is_understood_or_refused(event: Any) -> None:
    try:
        asked = reset_invocation(event, request_id=REQUEST)
    except (BadRequest, AccessDenied):
        return
    assert idempotency_key(asked.request_key, "") == asked.request_key
    assert len(asked.reason or "") <= 200


@given(event=_events)
def test_whatever_a_rotation_is_asked_it_is_understood_or_refused(event: Any) -> None:
    try:
        asked = rotation_invocation(event, request_id=REQUEST, now=NOW)
    except BadRequest:
        return
    assert idempotency_key(asked.request_key, "") == asked.request_key
    assert asked.window is None or timedelta(0) <= asked.window.length <= timedelta(days=366)
