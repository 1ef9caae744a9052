"""The fleet at a glance: what is counted where, and how it is shown."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import app
from chalicelib import phone_writes
from chalicelib.credentials import new_id
from chalicelib.phone_properties import Status as PhoneStatus
from chalicelib.phones import SipPhones
from ops.chart import BAR, OVERDUE, TEXT, draw
from ops.fleet import Fleet
from ops.status import Group, Status, look
from tests.support.cli import on_a_terminal, record, without_colours
from tests.support.fleet import imported, new_phone_id, stored

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FETCHED = PhoneStatus(config_loaded="2026-01-05T08:00:00Z")


def phone(*, age: timedelta = DAY, due: timedelta | None = None, **properties: Any) -> SipPhones:
    """A phone whose credentials have that age, and that is due after that time."""
    return SipPhones(
        new_phone_id(),
        credentials_id=new_id(),
        credentials_changed_at=NOW - age,
        planned_rotation=None if due is None else NOW + due,
        **properties,
    )


def status_of(*phones: SipPhones, fleet_days: int = 0) -> Status:
    status = Status(NOW)
    for each in phones:
        status.add(each, fleet_days)
    return status


@pytest.mark.parametrize(
    ("due", "group"),
    [
        (-timedelta(seconds=1), "overdue"),
        (timedelta(0), "overdue"),
        (timedelta(seconds=1), "due_in_a_day"),
        (DAY, "due_in_a_day"),
        (DAY + timedelta(seconds=1), "due_in_a_week"),
        (7 * DAY, "due_in_a_week"),
        (7 * DAY + timedelta(seconds=1), "due_later"),
        (None, "never_due"),
    ],
)
def test_a_phone_is_in_one_group_of_due_dates(due: timedelta | None, group: str) -> None:
    status = status_of(phone(due=due))
    groups = ("overdue", "due_in_a_day", "due_in_a_week", "due_later", "never_due")
    assert {name: getattr(status, name).phones for name in groups} == {**dict.fromkeys(groups, 0), group: 1}


def test_the_fleets_period_makes_phones_due_that_fetch_their_configuration() -> None:
    fetched = phone(age=200 * DAY, status=FETCHED)
    assert status_of(fetched, phone(age=200 * DAY), fleet_days=90).overdue.phones == 1


def test_the_oldest_of_a_group_is_named() -> None:
    old, older = phone(age=3 * DAY, unsettled={"x"}), phone(age=4 * DAY, unsettled={"x"})
    status = status_of(old, older, phone(age=9 * DAY))
    assert status.unsettled == Group(2, older.id, NOW - 4 * DAY)


def test_a_phone_is_in_grace_until_its_old_pair_is_dead() -> None:
    end = NOW + timedelta(seconds=1)
    first, later = (phone(age=age * DAY, previous_valid_until=end) for age in (2, 1))
    over = phone(previous_valid_until=NOW)
    assert status_of(later, first, over, phone()).in_grace == Group(2, first.id, NOW - 2 * DAY)


def test_what_sweeps_cannot_publish_and_what_never_had_a_pair_is_counted() -> None:
    status = status_of(phone(tend_failures=2), SipPhones(new_phone_id()))
    assert (status.failing.phones, status.without_pair.phones, status.everybody.phones) == (1, 1, 2)
    assert sum(phones for _, _, phones in status.ages()) == 1


def test_ages_are_counted_from_their_first_day_on() -> None:
    days = [0, 0.9, 1, 6.9, 7, 30, 364, 365, 2000]
    ages = {begin: phones for begin, _, phones in status_of(*(phone(age=day * DAY) for day in days)).ages()}
    assert ages == {0: 2, 1: 2, 7: 1, 30: 1, 60: 0, 90: 0, 180: 1, 365: 2}


@pytest.mark.engine("roto")
@pytest.mark.usefixtures("no_phones")
def test_the_command_counts_the_table_and_says_what_that_took(tmp_path: Path) -> None:
    overdue = imported(rotationDays=30)
    phone_writes.reschedule(overdue, due=app.services().clock() - timedelta(hours=1), planned=True)
    imported()
    chart = tmp_path / "fleet.svg"
    seen = record("status", "--chart", str(chart))
    assert seen["phones"]["phones"] == 2
    assert seen["ages"][0] == {"fromDays": 0, "toDays": 1, "phones": 2}
    assert (seen["overdue"]["phones"], seen["overdue"]["oldest"]["sipPhoneId"]) == (1, overdue.id)
    assert seen["neverDue"]["phones"] == 1
    # roto does not say what a scan costs.
    assert seen["scan"]["readUnitsFrom"] == "table size"
    assert 0 < seen["scan"]["readUnits"] < 2
    assert "2 phones at" in chart.read_text()

    status, shown = on_a_terminal("status")
    assert status == 0
    text = " ".join(without_colours(shown).split())
    assert "under a day 2 ████" in text
    assert f"overdue 1 since {stored(overdue.id).planned_rotation:%Y-%m-%d %H:%M}" in text
    assert (
        json.loads(without_colours(on_a_terminal("status", "--json")[1].splitlines()[-1]))["phones"]["phones"] == 2
    )


@pytest.mark.engine("moto")
@pytest.mark.usefixtures("no_phones")
def test_read_units_are_those_that_dynamodb_reports(aws_client: Any) -> None:
    imported()
    fleet = Fleet(aws_client("dynamodb"), SipPhones.Meta.table_name)
    seen, scan = look(fleet, fleet_days=0, now=NOW)
    assert seen.everybody.phones == 1
    assert scan.measured
    assert scan.read_units > 0


def luminance(colour: str) -> float:
    """Relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("colour", "contrast"), [(TEXT, 4.5), (BAR, 3), (OVERDUE, 3)])
def test_every_colour_of_the_chart_is_seen_on_white_and_on_black(colour: str, contrast: float) -> None:
    """https://www.w3.org/TR/WCAG22/#contrast-minimum and #non-text-contrast."""
    assert 1.05 / (luminance(colour) + 0.05) >= contrast
    assert (luminance(colour) + 0.05) / 0.05 >= contrast


def bars(chart: str) -> dict[str, tuple[float, str]]:
    """The bars of a chart that have a height, with it and their colour, by what they say of themselves."""
    svg = "{http://www.w3.org/2000/svg}"
    return {
        str(rect.findtext(f"{svg}title")): (float(rect.attrib["height"]), rect.attrib["fill"])
        for rect in ET.fromstring(chart).iter(f"{svg}rect")  # noqa: S314 - our own
        if float(rect.attrib["height"])
    }


def test_the_chart_has_a_bar_for_every_age_and_every_date_of_the_cycle() -> None:
    status = status_of(
        phone(due=-DAY),
        phone(age=40 * DAY, due=20 * DAY),
        phone(age=40 * DAY, due=400 * DAY),
        phone(),
        fleet_days=90,
    )
    drawn = draw(status, fleet_days=90)
    assert bars(drawn) == {
        "1 to 2 days old: 2": (240, BAR), "40 to 41 days old: 2": (240, BAR),
        "overdue: 1": (240, OVERDUE), "14 to 21 days from now: 1": (240, BAR),
    }  # fmt: skip
    assert "(1 later, 1 never)" in drawn


def test_an_empty_fleet_can_be_drawn() -> None:
    assert bars(draw(Status(NOW), fleet_days=0)) == {}


@pytest.mark.parametrize("most", [0, 1, 5, 6, 11, 12, 99, 100, 101, 4_999, 100_000])
def test_the_highest_bar_fits_and_the_axis_has_round_numbers(most: int) -> None:
    status = Status(NOW)
    status.age_days[0] = most
    drawn = draw(status, fleet_days=0)
    heights = [height for height, _ in bars(drawn).values()]
    assert max(heights, default=0) <= 240
    assert most == 0 or max(heights) >= 120
