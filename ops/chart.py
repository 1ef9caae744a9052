"""Draws a status of the fleet as SVG: ages of the credentials, and due dates of the next cycle.

The background is transparent and every colour is a middle tone, so that it can be read on white and on black, in
viewers that know which of them they show and in those that do not.
"""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from xml.etree import ElementTree as ET

from chalicelib.rotation import JITTER
from ops.status import Status

TEXT, RULE = "#767676", "#808080"
BAR, OVERDUE = "#3b7dc4", "#cc4a55"
WIDTH, HEIGHT = 1000, 380
PANEL_WIDTH, PANEL_HEIGHT = 430, 240
LEFT, RIGHT, TOP = 55, 555, 80
MOST_BARS = 45
_STEPS = (1, 2, 5)
_DAY_STEPS = (1, 2, 7, 14, 30, 60, 90, 180, 365)
_LABELS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """``phones`` over a stretch of days; ``label`` stands below where its first day is."""

    label: str
    stretch: str
    phones: int
    colour: str = BAR


def draw(seen: Status, *, fleet_days: int) -> str:
    """The picture of ``seen``, of a fleet whose rotation period is ``fleet_days``, as the text of an SVG file."""
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "width": str(WIDTH),
            "height": str(HEIGHT),
            "font-family": "system-ui, sans-serif",
            "font-size": "13",
            "role": "img",
        },
    )
    heading = f"{seen.everybody.phones:,} phones at {seen.at:%Y-%m-%d %H:%M} UTC"
    ET.SubElement(root, "title").text = heading
    _text(root, LEFT, 26, heading, size=17)
    _panel(root, LEFT, "Phones by the age of their credentials, in days", _ages(seen.age_days))
    dates, note = _dates(seen, fleet_days)
    _panel(root, RIGHT, f"Phones by the date they are due{note}", dates)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _ages(age_days: Counter[int]) -> list[Bar]:
    days = max(age_days, default=0) + 1
    width = _day_step(days)
    return [
        Bar(str(day), _stretch(day, width, "days old"), _sum(age_days, day, width))
        for day in range(0, days, width)
    ]


def _dates(seen: Status, fleet_days: int) -> tuple[list[Bar], str]:
    """Bars for the next cycle, and what is not in them."""
    last = max(seen.due_days, default=0)
    # A fleet without a period of its own has no cycle: then it is as long as the phones' own dates.
    days = (math.ceil(fleet_days * (1 + JITTER)) if fleet_days else max(0, last)) + 1
    width = _day_step(days)
    overdue = sum(phones for day, phones in seen.due_days.items() if day < 0)
    bars = [Bar("overdue", "overdue", overdue, OVERDUE)]
    for day in range(0, days, width):
        date = f"{seen.at + timedelta(days=day):%d %b}"
        bars.append(Bar(date, _stretch(day, width, "days from now"), _sum(seen.due_days, day, width)))
    later = sum(phones for day, phones in seen.due_days.items() if day >= days + -days % width)
    outside = [
        f"{number:,} {what}" for number, what in ((later, "later"), (seen.never_due.phones, "never")) if number
    ]
    return bars, f" ({', '.join(outside)})" if outside else ""


def _panel(root: ET.Element, left: int, title: str, bars: list[Bar]) -> None:
    bottom = TOP + PANEL_HEIGHT
    _text(root, left, TOP - 22, title)
    step, top = _scale(max(bar.phones for bar in bars))
    for value in range(0, top + 1, step):
        y = bottom - PANEL_HEIGHT * value / top
        opacity = "1" if value == 0 else "0.3"
        _add(root, "line", x1=left, x2=left + PANEL_WIDTH, y1=y, y2=y, stroke=RULE, stroke_opacity=opacity)
        _text(root, left - 6, y + 4, f"{value:,}", anchor="end")
    room = PANEL_WIDTH / len(bars)
    every = math.ceil(len(bars) / _LABELS)
    for place, bar in enumerate(bars):
        x, height = left + room * place, PANEL_HEIGHT * bar.phones / top
        drawn = _add(
            root, "rect", x=x + room * 0.1, y=bottom - height, width=room * 0.8, height=height, fill=bar.colour
        )
        ET.SubElement(drawn, "title").text = f"{bar.stretch}: {bar.phones:,}"
        if place % every == 0:
            _text(root, x + room / 2, bottom + 18, bar.label, anchor="middle")


def _text(root: ET.Element, x: float, y: float, text: str, *, size: int = 13, anchor: str = "start") -> None:
    _add(root, "text", x=x, y=y, fill=TEXT, font_size=size, text_anchor=anchor).text = text


def _add(root: ET.Element, tag: str, **attributes: float | str) -> ET.Element:
    def written(value: float | str) -> str:
        return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")

    return ET.SubElement(root, tag, {name.replace("_", "-"): written(value) for name, value in attributes.items()})


def _sum(counts: Counter[int], first: int, width: int) -> int:
    return sum(counts[day] for day in range(first, first + width))


def _stretch(day: int, width: int, what: str) -> str:
    return f"{day} to {day + width} {what}"


def _day_step(days: int) -> int:
    """The narrowest stretch in which so many days are no more than `MOST_BARS` bars."""
    return next((step for step in _DAY_STEPS if days / step <= MOST_BARS), math.ceil(days / MOST_BARS))


def _scale(most: int) -> tuple[int, int]:
    """The step of an axis in round numbers, and its end, for values up to ``most``."""
    if most <= _STEPS[-1]:
        return 1, max(1, most)
    power = 10 ** max(0, len(str(most)) - 2)
    step = next(factor * power for factor in (*_STEPS, 10, 20) if most / (factor * power) <= _STEPS[-1])
    return step, math.ceil(most / step) * step
