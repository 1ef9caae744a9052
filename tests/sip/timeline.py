"""What a fleet went through: which registrations were refused or accepted wrongly, and a picture of the rest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from tests.sip.phone import Registration

OK = 200
REFUSED = {401, 403}


class State(Enum):
    """What a phone is like at a moment."""

    OLD = ("old pair", "#8c959f")
    BOTH = ("both pairs valid", "#d4a72c")
    CUT_OFF = ("old pair refused, new one not fetched yet", "#cf222e")
    NEW = ("new pair", "#2da44e")

    def __init__(self, meaning: str, colour: str) -> None:
        self.meaning = meaning
        self.colour = colour


@dataclass(frozen=True, slots=True)
class Move:
    """How a phone came from its old pair to the new one, as the announcement of the rotation and the phone say."""

    old_username: str
    rotated: datetime
    grace_until: datetime
    registrations: Sequence[Registration]

    @property
    def moved(self) -> datetime:
        """When the phone was registered with the new pair."""
        return next(
            registration.answered
            for registration in self.registrations
            if registration.status == OK and registration.username != self.old_username
        )

    @property
    def _old_pair_ends(self) -> datetime:
        return min(self.grace_until, self.moved)

    def state(self, moment: datetime) -> State:
        if moment < self.rotated:
            return State.OLD
        if moment >= self.moved:
            return State.NEW
        return State.BOTH if moment < self.grace_until else State.CUT_OFF

    def refused_wrongly(self) -> Iterator[Registration]:
        """The registrations that were refused although their pair was valid until the answer came."""
        for registration in self.registrations:
            is_old = registration.username == self.old_username
            if registration.status in REFUSED and not (is_old and registration.answered >= self._old_pair_ends):
                yield registration

    def accepted_wrongly(self) -> Iterator[Registration]:
        """The registrations that succeeded although their pair was dead before they were sent."""
        for registration in self.registrations:
            is_old = registration.username == self.old_username
            if registration.status == OK and is_old and registration.sent >= self._old_pair_ends:
                yield registration


@dataclass(frozen=True, slots=True)
class Timeline:
    """The states of a fleet, every second from ``start``."""

    start: datetime
    counts: Sequence[Counter[State]]

    @classmethod
    def of(cls, moves: Sequence[Move]) -> "Timeline":
        """From a little before the first rotation to a little after the last move."""
        start = min(move.rotated for move in moves) - timedelta(seconds=5)
        seconds = int((max(move.moved for move in moves) - start).total_seconds()) + 5
        moments = (start + timedelta(seconds=second) for second in range(seconds + 1))
        return cls(start, [Counter(move.state(moment) for move in moves) for moment in moments])

    def text(self, lines: int = 24) -> str:
        """A table, a line for every few seconds."""
        step = max(1, -(-len(self.counts) // lines))
        table = ["seconds  " + "  ".join(state.meaning for state in State)]
        for second in [*range(0, len(self.counts), step), len(self.counts) - 1]:
            numbers = (f"{self.counts[second][state]:>{len(state.meaning)}}" for state in State)
            table.append(f"{second:>7}  " + "  ".join(numbers))
        return "\n".join(table)

    def svg(self, title: str) -> str:
        """A stacked area for each state. Its colours are legible on light and on dark ground."""
        phones, last = self.counts[0].total(), len(self.counts) - 1
        width, height, left, top = 720, 240, 56, 36

        def x(second: float) -> float:
            return left + width * second / last

        def y(count: float) -> float:
            return top + height * (1 - count / phones)

        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 24} {top + height + 84}"'
            ' font-family="system-ui, sans-serif" font-size="13" fill="#6e7781">',
            f"<title>{title}</title>",
            f'<text x="{left}" y="20" font-size="15">{title}</text>',
        ]
        floor = [0] * len(self.counts)
        for state in (State.NEW, State.CUT_OFF, State.BOTH, State.OLD):
            ceiling = [below + count[state] for below, count in zip(floor, self.counts, strict=True)]
            edge = [*enumerate(ceiling), *reversed([*enumerate(floor)])]
            points = " ".join(f"{x(second):.1f},{y(count):.1f}" for second, count in edge)
            parts.append(f'<polygon points="{points}" fill="{state.colour}"/>')
            floor = ceiling
        parts += [
            f'<text x="{x(second):.1f}" y="{top + height + 18}" text-anchor="middle">{second}</text>'
            for second in range(0, last + 1, 15 if last < 180 else 30)
        ]
        parts += [
            f'<text x="{left - 8}" y="{y(count) + 4:.1f}" text-anchor="end">{count:,}</text>'
            for count in (0, phones // 2, phones)
        ]
        parts.append(f'<text x="{left + width}" y="{top + height + 36}" text-anchor="end">seconds</text>')
        place = left
        for state in State:
            parts.append(
                f'<rect x="{place}" y="{top + height + 54}" width="12" height="12" fill="{state.colour}"/>'
            )
            parts.append(f'<text x="{place + 18}" y="{top + height + 65}">{state.meaning}</text>')
            place += 34 + 7 * len(state.meaning)
        return "\n".join([*parts, "</svg>", ""])
