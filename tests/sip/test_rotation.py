"""What becomes of a phone's registration when its pair is replaced."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pytest
import urllib3

from chalicelib.credentials import Credentials
from tests.sip import sipp
from tests.sip.kamailio import Kamailio
from tests.sip.phone import Phone, Registration, plugged_in
from tests.sip.service import REALM, Event, ResetEvents, Service
from tests.support.fleet import stored

RESETS = 20


@pytest.fixture(scope="module")
def events(service: Service) -> ResetEvents:
    assert service
    return ResetEvents()


def test_after_a_reset_the_very_next_registration_needs_the_new_pair(
    service: Service, registrar: Kamailio, phone_id: str
) -> None:
    old = service.pair(phone_id)
    assert sipp.register(registrar.address, old) == 200
    new = service.reset(phone_id)
    assert sipp.register(registrar.address, old) == 401
    assert sipp.register(registrar.address, new) == 200


def test_a_phone_that_is_registered_is_refused_when_it_registers_again(
    service: Service, registrar: Kamailio, phone_id: str
) -> None:
    async def statuses() -> list[int]:
        old = service.pair(phone_id)
        async with plugged_in(registrar.address, REALM) as phone:
            before = await phone.register(old)
            new = await asyncio.to_thread(service.reset, phone_id)
            return [before.status, (await phone.register(old)).status, (await phone.register(new)).status]

    assert asyncio.run(statuses()) == [200, 401, 200]


def test_after_a_scheduled_rotation_both_pairs_register_until_the_new_one_has(
    service: Service, registrar: Kamailio, phone_id: str
) -> None:
    old = service.pair(phone_id)
    new = service.rotate(phone_id)
    assert [sipp.register(registrar.address, pair) for pair in (old, old, new)] == [200, 200, 200]
    assert [sipp.register(registrar.address, pair) for pair in (old, new)] == [401, 200]
    assert stored(phone_id).adopted_at is not None


def test_a_reset_without_grace_ends_an_open_grace_period(
    service: Service, registrar: Kamailio, phone_id: str
) -> None:
    first = service.pair(phone_id)
    second = service.rotate(phone_id)
    assert sipp.register(registrar.address, first) == 200
    third = service.reset(phone_id)
    assert [sipp.register(registrar.address, pair) for pair in (first, second, third)] == [401, 401, 200]


async def register_until_refused(phone: Phone, pair: Credentials, registrations: list[Registration]) -> None:
    registrations.append(await phone.register(pair))
    while registrations[-1].status != 401:
        assert registrations[-1].status == 200
        registrations.append(await phone.register(pair))


def test_no_registration_with_the_old_pair_is_accepted_once_a_reset_is_answered(
    service: Service, registrar: Kamailio, phone_id: str, figures: dict[str, Any]
) -> None:
    async def seconds_to_refusal(phone: Phone) -> float:
        """From the commit's time stamp, which is taken before the write, to the answer to the old pair."""
        registrations: list[Registration] = []
        trying = asyncio.create_task(register_until_refused(phone, service.pair(phone_id), registrations))
        while len(registrations) < 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(service.reset, phone_id)
        answered = datetime.now(UTC)
        async with asyncio.timeout(60):
            await trying
        *accepted, refused = registrations
        assert all(registration.sent < answered for registration in accepted)
        return (refused.answered - stored(phone_id).credentials_changed_at).total_seconds()

    async def measure() -> list[float]:
        async with plugged_in(registrar.address, REALM) as phone:
            return [await seconds_to_refusal(phone) for _ in range(RESETS)]

    milliseconds = [1000 * seconds for seconds in asyncio.run(measure())]
    figures["commit to refusal of the old pair, ms, median"] = round(median(milliseconds))
    figures["commit to refusal of the old pair, ms, longest"] = round(max(milliseconds))


def test_a_phone_is_told_at_its_old_contact_until_it_has_registered_with_the_new_pair(
    service: Service,
    registrar: Kamailio,
    phone_id: str,
    events: ResetEvents,
    tell: Callable[[Event], None],
) -> None:
    async def heard() -> list[int]:
        told: list[str] = []
        async with plugged_in(registrar.address, REALM, told.append) as phone:
            old = service.pair(phone_id)
            await phone.register(old)
            new = await asyncio.to_thread(service.reset, phone_id, grace=60)
            event = await asyncio.to_thread(events.last_of, phone_id)
            counts = []
            for pair in (old, old, new, new):
                await asyncio.to_thread(tell, event)
                await phone.register(pair)  # answered after the NOTIFY, which was sent before
                counts.append(len(told))
        assert {*told} == {"check-sync;reboot=false"}
        return counts

    assert asyncio.run(heard()) == [1, 2, 3, 3]


def test_a_reset_without_grace_ends_the_registration_of_the_old_pair(
    service: Service,
    registrar: Kamailio,
    phone_id: str,
    events: ResetEvents,
    tell: Callable[[Event], None],
) -> None:
    async def heard() -> list[int]:
        told: list[str] = []
        async with plugged_in(registrar.address, REALM, told.append) as phone:
            old = service.pair(phone_id)
            await phone.register(old)
            await asyncio.to_thread(service.reset, phone_id)
            event = await asyncio.to_thread(events.last_of, phone_id)
            counts = []
            for _ in range(2):  # the second time there is no contact left
                await asyncio.to_thread(tell, event)
                await phone.register(old)
                counts.append(len(told))
        return counts

    assert asyncio.run(heard()) == [1, 1]


def test_events_are_taken_from_nobody_without_the_token(registrar: Kamailio) -> None:
    answer = urllib3.request("POST", registrar.events_url, json={}, headers={"Authorization": "Bearer wrong"})
    assert answer.status == 401
