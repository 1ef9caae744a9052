"""What may go in, and what a person reads about what may not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.phone_records import MAX_RECORD_BYTES, BadRecord, Record, read_records
from tests.support.documents import EXAMPLE, valid_phones

MINIMAL = {"_id": "A" * 24, "customer": "C"}


def check(**properties: Any) -> Record | BadRecord:
    (record,) = read_records([json.dumps({**MINIMAL, **properties})])
    return record


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"_id": "A" * 23}, f"_id: expected 24 hex digits, got '{'A' * 23}'"),
        ({"_id": 5}, "_id: expected 24 hex digits, got 5"),
        ({"customer": None}, "customer: missing"),
        ({"customer": ""}, "customer: expected 1 to 64 letters, digits, \"-\" or \"_\", got ''"),
        ({"pbxCluster": 3}, "pbxCluster: expected one of 1, 2, got 3"),
        ({"pbxCluster": True}, "pbxCluster: expected one of 1, 2, got True"),
        ({"macAddress": "4EE8A34B56F"}, "macAddress: expected 12 hex digits, got '4EE8A34B56F'"),
        ({"macAddress": "4E:E8:A3:4B:56:F3"}, "macAddress: expected 12 hex digits, got '4E:E8:A3:4B:56:F3'"),
        ({"macAddress": "4EE8A34B56F3\n"}, "macAddress: expected 12 hex digits, got '4EE8A34B56F3\\n'"),
        ({"handsetIndex": -1}, "handsetIndex: expected a whole number from 0 to 65535, got -1"),
        ({"handsetAddress": "x" * 65}, f"handsetAddress: expected a text of at most 64 characters, got '{'x' * 59}…"),
        ({"callWaiting": "yes"}, "callWaiting: expected true or false, got 'yes'"),
        ({"notes": 5}, "notes: expected a text, got 5"),
        ({"ip": {"mode": "CLOSED"}}, "ip.mode: expected one of OPEN, LOCKED, ROAMING, got 'CLOSED'"),
        (
            {"ip": {"countries": "Denmark"}},
            "ip.countries: expected two-letter country codes separated by commas, got 'Denmark'",
        ),
        ({"ip": {"address": "300.1.1.1"}}, "ip.address: expected an IPv4 or IPv6 address, got '300.1.1.1'"),
        ({"ip": "LOCKED"}, "ip: expected an object, got 'LOCKED'"),
        ({"ringer": {"volume": 1.5}}, "ringer.volume: expected a whole number from -1000 to 1000, got 1.5"),
        ({"ringer": {"tone": True}}, 'ringer.tone: expected 1 to 64 letters, digits, "-" or "_", got True'),
        ({"volume": {"headset": {"mic": "5"}}},
         "volume.headset.mic: expected a whole number from -1000 to 1000, got '5'"),
        ({"softkeys": {}}, "softkeys: expected a list, got {}"),
        (
            {"softkeys": [{"index": 0, "function": "DND"}, {"index": 1, "function": "FAX"}]},
            "softkeys[1].function: expected one of SPEEDDIAL, BLF, LINE, DND, ADDRESSBOOK, REDIAL, VOICEMAIL, "
            "TRANSFER, URL, HOLD, RECORD, MENU, PICKUP, PICKUPGROUP, QUEUE, SWITCH, got 'FAX'",
        ),
        ({"softkeys": [{"index": 0}]}, "softkeys[0].function: missing"),
        ({"network": {"vlanId": 5000}}, "network.vlanId: expected a number from 0 to 4094, got '5000'"),
        ({"network": {"vlanId": "007"}}, "network.vlanId: expected a number from 0 to 4094, got '007'"),
        ({"network": {"vlanPriority": 8}}, "network.vlanPriority: expected a whole number from 0 to 7, got 8"),
        (
            {"network": {"subnet": "255.0.255.0"}},
            "network.subnet: expected an IPv4 subnet mask such as 255.255.255.0, got '255.0.255.0'",
        ),
        (
            {"status": {"configLoaded": "2015-01-01"}},
            "status.configLoaded: expected a date and time with its offset, such as 2026-01-31T09:30:00Z, got "
            "'2015-01-01'",
        ),
        ({"status": {"expires": -2}}, "status.expires: expected a whole number from -1 to 4294967295, got -2"),
        ({"rotationDays": -1}, "rotationDays: expected a whole number from 0 to 3650, got -1"),
        ({"colour": "red"}, "colour: unknown property"),
        ({"ip": {"mac": 1}}, "ip.mac: unknown property"),
        ({"username": "u"}, "username, password: expected both or neither"),
        ({"unsettled": []}, "unsettled: unknown property"),
        ({"pbxCluster": 3, "colour": 1}, "colour: unknown property; pbxCluster: expected one of 1, 2, got 3"),
        ({"notes": "\ud800"}, "expected Unicode text, got half of a surrogate pair"),
    ],
)  # fmt: skip
def test_a_value_outside_the_rules_is_refused_with_its_path_and_the_reason(
    properties: dict[str, Any], reason: str
) -> None:
    assert check(**properties) == BadRecord(1, reason)


@pytest.mark.parametrize("name", ["username", "password"])
@pytest.mark.parametrize("value", ["with space", "x" * 256, "tést", 12345678])
def test_a_refused_credential_is_not_shown(name: str, value: object) -> None:
    record = check(**{"username": "u", "password": "p", name: value})
    assert isinstance(record, BadRecord)
    assert record.reason == f"{name}: expected 1 to 255 printable ASCII characters without spaces"


def test_a_record_does_not_show_its_credentials() -> None:
    assert "hunter2" not in repr(check(username="u", password="hunter2"))


@given(valid_phones)
def test_every_valid_phone_may_go_in(document: dict[str, Any]) -> None:
    (record,) = read_records([json.dumps(document)])
    assert isinstance(record, Record)


def test_the_other_form_of_a_value_is_converted() -> None:
    record = check(_id="abcdef" * 4, ringer={"tone": 2, "volume": 4.0}, network={"vlanId": 4094})
    assert isinstance(record, Record)
    assert record.phone["_id"] == "ABCDEF" * 4
    assert record.phone["ringer"] == {"tone": "2", "volume": 4}
    assert record.phone["network"] == {"vlanId": "4094"}


def test_a_record_that_would_not_fit_the_table_is_refused() -> None:
    record = check(notes="æ" * (MAX_RECORD_BYTES // 2))
    assert isinstance(record, BadRecord)
    assert record.reason.startswith("expected at most 262,144 bytes, got ")


def as_lines(text: str) -> list[Record | BadRecord]:
    return list(read_records(text.splitlines(keepends=True)))


def phone(digit: str) -> str:
    return json.dumps({"_id": digit * 24, "customer": "C"})


def test_json_lines_and_arrays_are_read_with_the_line_of_each_record() -> None:
    lines = f"\n{phone('1')}\n\n{phone('2')}\n"
    array = f"\n[{phone('1')},\n\n{phone('2')}]\n"
    for text, expected in ((lines, [2, 4]), (array, [2, 4]), ("\ufeff" + phone("1"), [1])):
        records = as_lines(text)
        assert all(isinstance(record, Record) for record in records)
        assert [record.line for record in records] == expected


def test_an_array_may_be_indented() -> None:
    records = as_lines(json.dumps([EXAMPLE, {**EXAMPLE, "_id": "B" * 24}], indent=2))
    assert [record.line for record in records] == [2, 2 + len(json.dumps(EXAMPLE, indent=2).splitlines())]
    assert all(isinstance(record, Record) for record in records)


def test_a_bad_line_does_not_keep_the_others_out() -> None:
    first, bad, third = as_lines(f"{phone('1')}\n{{oops\n{phone('3')}\n")
    assert isinstance(first, Record)
    assert isinstance(bad, BadRecord)
    assert bad.line == 2
    assert bad.reason.startswith("not valid JSON (")
    assert isinstance(third, Record)


def test_a_phone_may_stand_in_a_file_once() -> None:
    _, second = as_lines(f"{phone('a')}\n{phone('A')}\n")
    assert second == BadRecord(2, "_id: the phone stands on line 1 already")


@pytest.mark.parametrize("text", ["5", '"x"', "null", "[[]]", "[1"])
def test_what_is_not_an_object_is_refused(text: str) -> None:
    assert as_lines(text)[0] == BadRecord(1, "expected a JSON object with the properties of a phone")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"_id": NaN}', "[", '["', "\x00"])
def test_what_is_not_json_is_refused(text: str) -> None:
    (record,) = as_lines(text)
    assert isinstance(record, BadRecord)
    assert record.reason.startswith("not valid JSON")


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for record in as_lines(text):
        assert isinstance(record, BadRecord)
