"""Publishers that write to the mirror when their time is long over: none of them brings an old pair back.

A publication is held back before its write to Secrets Manager. A later pair comes into force, the two minutes pass, and
a sweep sets to work. The write arrives at every point of that sweep, or after it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import app
from chalicelib.phone_writes import PUBLISHER_LIFE
from ops.importing import import_phones
from ops.phone_records import Record
from tests.support.aws import Wire
from tests.support.beside import Beside, Running
from tests.support.fleet import empty_agenda, new_phone_id, pair_of, stored
from tests.support.interleaving import Fate, turns

Mirrored = Callable[[str], dict[str, Any]]
# moto knows neither labels of one's own nor that a version's value never changes.
pytestmark = pytest.mark.engine("roto")

COPY: set[str | None] = {"PutSecretValue", "CreateSecret"}
# A sweep tries to rotate the phone, reads it, fences the abandoned publications, takes over, announces and copies the
# pair in force, and settles.
POINTS: dict[str, tuple[set[str | None], int]] = {
    "before the fences": (COPY, 1),
    "between the fences": (COPY, 2),
    "between fences and take-over": ({"UpdateItem"}, 2),
    "after the take-over": ({"PutEvents"}, 1),
    "after the sweep's copy": ({"UpdateItem"}, 3),
    "after the sweep": ({None}, 1),
}


@pytest.fixture
def it(wire: Wire, mirrored: Mirrored) -> Iterator[Beside]:
    empty_agenda()
    with turns(wire) as taking_turns:
        yield Beside(app.services(), taking_turns, [new_phone_id()], mirrored)


def phone_of(it: Beside) -> str:
    (phone_id,) = it.reference.phones
    return phone_id


def reset(it: Beside, key: str | None = None) -> Running:
    ask = partial(it.services.resets.reset, phone_of(it), changed_by="test", changed_via="http", request_key=key)
    return it.start(it.call("reset", phone_of(it), key=key), ask)


def bring_in(it: Beside, customer: str = "C1") -> Running:
    record = Record(1, {"_id": phone_of(it), "customer": customer})
    return it.start(it.call("import"), lambda: list(import_phones(it.services, [record], by="test")))


def go_on(it: Beside, running: Running, operations: set[str | None], place: int = 1) -> Running:
    """The call, standing still before that request of it; None stands for its end."""
    while (place := place - (running.task.standing_before in operations)) > 0:
        it.proceed(running)
    return running


def crash_before_its_write(it: Beside, running: Running) -> None:
    it.proceed(go_on(it, running, COPY), Fate.CRASH_BEFORE)


def late_reset(it: Beside) -> Running:
    it.finish(bring_in(it))
    return go_on(it, reset(it), COPY)


def late_replay(it: Beside) -> Running:
    it.finish(bring_in(it))
    crash_before_its_write(it, reset(it, key="k"))
    return go_on(it, reset(it, key="k"), COPY)


def late_import(it: Beside) -> Running:
    return go_on(it, bring_in(it), COPY)


def late_change_of_owner(it: Beside) -> Running:
    it.finish(bring_in(it))
    return go_on(it, bring_in(it, "C2"), COPY)


def late_sweep(it: Beside) -> Running:
    it.finish(bring_in(it))
    for _ in range(2):
        crash_before_its_write(it, reset(it))
    it.clock.now += PUBLISHER_LIFE
    return go_on(it, it.start(it.call("sweep"), it.sweep), COPY, 3)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("later", [Beside.finish, crash_before_its_write], ids=["copied", "not copied"])
@pytest.mark.parametrize("hold", [late_reset, late_replay, late_import, late_change_of_owner, late_sweep])
def test_a_late_publisher_never_brings_its_pair_back(
    it: Beside,
    mirrored: Mirrored,
    hold: Callable[[Beside], Running],
    later: Callable[[Beside, Running], object],
    point: tuple[set[str | None], int],
) -> None:
    late = hold(it)
    later(it, reset(it))
    in_force = stored(phone_of(it))
    it.clock.now += PUBLISHER_LIFE
    sweep = go_on(it, it.start(it.call("sweep"), it.sweep), *point)
    it.finish(late)
    it.finish(sweep)

    now = stored(phone_of(it))
    assert pair_of(now) == pair_of(in_force)
    assert not now.unsettled
    assert mirrored(now.id)["credentialsId"] == now.credentials_id
    it.clock.now += PUBLISHER_LIFE
    assert it.sweep_at_once().due == 0
