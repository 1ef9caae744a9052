"""Every AWS call of every entry point, spoilt in every way that AWS and the network can.

For each cell: the caller sees what the contract has for it while somebody still waits, and no lie; when the fault is
over, one sweep makes the mirror right and sends the announcement, although nobody called again; and whoever calls
again then finds that what was done is still there, and was done once.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime

import pytest

import app
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from chalicelib.resets import Resets
from chalicelib.tending import Tending
from tests.faults.matrix import CALLS, CLAIM_A_COPY, FAULTS, Call, Cell
from tests.faults.spoilt_aws import Estate, Proxy, present


def sweep_when_publishers_are_gone(phone: SipPhones | None) -> None:
    """One sweep, when every publisher's time is over, and the phone's back-off if AWS refused its copy."""
    moment = app.services().clock() + PUBLISHER_LIFE * 1.1
    if phone is not None and phone.tend_failures:
        moment = max(moment, phone.tend_at)

    def clock() -> datetime:
        return moment

    publisher = replace(app.services().publisher, clock=clock)
    Tending(Resets(publisher, clock), publisher, clock, rate=1_000, workers=4).tend(lambda: PUBLISHER_LIFE)


def assert_converged(estate: Estate, phone_id: str) -> None:
    """The mirror has the pair in force, the estate has heard of it, and nothing is left to do."""
    phone = present(estate.phone(phone_id))
    assert not phone.unsettled
    assert estate.has_copy_of(phone)
    assert estate.hears_of(phone)


@pytest.fixture(autouse=True)
def empty_table(spoilt: tuple[Proxy, Estate]) -> None:
    assert spoilt
    for phone in SipPhones.scan():
        phone.delete()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.entry}, {call.name}")
def test_nothing_is_lost_and_nobody_is_lied_to(
    spoilt: tuple[Proxy, Estate], record_property: Callable[[str, object], None], call: Call, fault: str
) -> None:
    proxy, estate = spoilt
    scene = call.arrange(estate)
    cell = Cell(call.entry, call.name, fault)
    with proxy.spoiling({**call.spoilt, **FAULTS[fault]}, *call.besides):
        began = time.monotonic()
        try:
            cell.seen = scene.call()
        finally:
            cell.seconds = time.monotonic() - began
            record_property("cell", asdict(cell))
        assert proxy.spoilt()[0]
        assert cell.seen not in CLAIM_A_COPY or estate.has_copy_of(present(estate.phone(scene.phone_id)))
    assert cell.seen in call.sees(fault)
    assert cell.seconds < scene.time_limit

    phone = estate.phone(scene.phone_id)
    sweep_when_publishers_are_gone(phone)
    if phone is not None:
        assert_converged(estate, scene.phone_id)

    scene.confirm()
    assert_converged(estate, scene.phone_id)
    in_force = present(estate.phone(scene.phone_id)).credentials_id
    assert estate.announced(scene.phone_id) <= scene.earlier | {in_force}
