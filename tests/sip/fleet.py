"""A fleet of simulated phones that lives through a rotation."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.credentials import Credentials
from tests.sip.phone import UNAUTHORIZED, Address, Phone, Registration, plugged_in

REGISTER_EVERY = (15.0, 30.0)
FETCHING = (0.2, 3.0)
"""Seconds from one registration to the next, and for which a phone fetches its configuration."""

Configuration = Callable[[str], Credentials]
"""What the provisioning server has for a phone."""

chance = random.SystemRandom()


@dataclass(slots=True)
class FleetPhone:
    """A phone of the fleet. One that does not ``listen`` ignores NOTIFY: it is on its own until it is refused."""

    id: str
    listens: bool
    registrations: list[Registration] = field(default_factory=list)
    _wants_configuration: asyncio.Event = field(default_factory=asyncio.Event)

    def has_moved(self) -> bool:
        """It is registered with another pair than at first."""
        first, last = self.registrations[0], self.registrations[-1]
        return last.status == 200 and last.username != first.username

    def hear(self, event: str) -> None:
        """Takes a NOTIFY."""
        if self.listens and event.startswith("check-sync"):
            self._wants_configuration.set()

    async def live(self, phone: Phone, configuration: Configuration) -> None:
        """Registers from time to time, and fetches the configuration when told or when refused."""
        pair = await asyncio.to_thread(configuration, self.id)
        await asyncio.sleep(chance.uniform(0, REGISTER_EVERY[0]))
        while True:
            self.registrations.append(await phone.register(pair))
            if self.registrations[-1].status == UNAUTHORIZED:
                self._wants_configuration.set()
            try:
                async with asyncio.timeout(chance.uniform(*REGISTER_EVERY)):
                    await self._wants_configuration.wait()
            except TimeoutError:
                continue
            self._wants_configuration.clear()
            await asyncio.sleep(chance.uniform(*FETCHING))
            pair = await asyncio.to_thread(configuration, self.id)


async def live_through(
    rotate: Callable[[], None],
    phones: list[FleetPhone],
    *,
    registrar: Address,
    domain: str,
    configuration: Configuration,
    limit: timedelta,
) -> None:
    """Has the phones register, calls ``rotate``, and ends when all are registered with another pair.

    Raises ``TimeoutError`` after ``limit``.
    """

    async def all_are(state: Callable[[FleetPhone], object]) -> None:
        while not all(state(phone) for phone in phones):
            await asyncio.sleep(0.5)

    async with asyncio.timeout(limit.total_seconds()), AsyncExitStack() as plugs, asyncio.TaskGroup() as lives:
        running = []
        for phone in phones:
            plugged = await plugs.enter_async_context(plugged_in(registrar, domain, phone.hear))
            running.append(lives.create_task(phone.live(plugged, configuration)))
        await all_are(lambda phone: phone.registrations)
        await asyncio.to_thread(rotate)
        await all_are(FleetPhone.has_moved)
        for life in running:
            life.cancel()
