"""The service beside its reference: calls that take turns, and a look at every phone that a request may have changed."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast

from botocore.awsrequest import AWSPreparedRequest

from chalicelib.access import EVERY_PHONE
from chalicelib.errors import NotFound, Unavailable
from chalicelib.phones import SipPhones
from chalicelib.resets import NO_GRACE, Resets
from chalicelib.services import Services
from chalicelib.tending import Sweep, Tending
from tests.support.fleet import pair_of
from tests.support.interleaving import Announcing, Fate, Task, Turns
from tests.support.reference import Call, Kind, Old, Owner, Reference, Seen

HOUR = timedelta(hours=1)

T = TypeVar("T")


class Clock:
    """Stands still unless it is put forward."""

    def __init__(self) -> None:
        self.now = datetime(2031, 1, 31, 9, 30, 15, 700_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Running(NamedTuple):
    """A call under way, and what its answer must pass."""

    call: Call
    task: Task[Any]
    check: Callable[[Any], object]


class Beside:
    """Runs calls of the service on a clock of its own, and tells the reference what comes of each request."""

    def __init__(
        self, live: Services, turns: Turns, phone_ids: list[str], read_secret: Callable[[str], dict[str, Any]]
    ) -> None:
        self.clock = Clock()
        self.services = live
        self.reference = Reference(phone_ids)
        self.under_way: list[Running] = []
        self.figures = Counter(histories=1)
        self._turns = turns
        self._read_secret = read_secret
        self._touched: set[str] = set()
        self._announced: defaultdict[str, set[str]] = defaultdict(set)
        turns.watch = self._note_effect
        self.announce(first=True)

    def announce(self, *, first: bool) -> None:
        """Announces before the mirror's write, or after it."""
        publisher = replace(self.services.publisher, clock=self.clock, background=Announcing(first=first))
        self.services = replace(
            self.services,
            clock=self.clock,
            publisher=publisher,
            resets=Resets(publisher, self.clock),
            planning=replace(self.services.planning, clock=self.clock),
            registrar=replace(self.services.registrar, clock=self.clock, publisher=publisher),
        )

    def call(self, kind: Kind, phone_id: str = "", **who: Any) -> Call:
        return Call(kind, self.reference.moment, self.clock(), phone_id, **who)

    def start(self, call: Call, ask: Callable[[], T], check: Callable[[T], object] = lambda _: None) -> Running:
        """Starts a call, which stands still before its first request."""
        running = Running(call, self._turns.start(ask), check)
        self.under_way.append(running)
        self.figures["calls"] += 1
        self._end_if_over(running)
        return running

    def sweep(self, fleet_days: int = 0, grace: timedelta = NO_GRACE) -> Sweep:
        publisher = replace(self.services.publisher, fleet_rotation_days=fleet_days)
        resets = Resets(publisher, self.clock, rotation_grace=grace)
        return Tending(resets, publisher, self.clock, rate=float("inf"), workers=1).tend(lambda: HOUR)

    def sweep_at_once(self) -> Sweep:
        """A sweep that nothing comes in between of."""
        sweep: Sweep = self.finish(self.start(self.call("sweep"), self.sweep)).task.answer()
        return sweep

    def proceed(self, running: Running, fate: Fate = Fate.ARRIVES) -> None:
        """Lets a call's request meet its fate."""
        running.call.disturbed |= fate is not Fate.ARRIVES
        running.task.proceed(fate)
        self.figures["requests"] += 1
        self.figures["requests spoilt"] += fate is not Fate.ARRIVES
        self._look(running.call)
        self._end_if_over(running)

    def finish(self, running: Running) -> Running:
        while not running.task.over:
            self.proceed(running)
        return running

    def end_all(self) -> None:
        """The end of every process."""
        self._turns.end()
        self.under_way.clear()

    def phones(self) -> list[SipPhones]:
        return [phone for phone in map(SipPhones.find, self.reference.phones) if phone is not None]

    def _end_if_over(self, running: Running) -> None:
        if not running.task.over:
            return
        self.under_way.remove(running)
        if running.task.crashed:
            return
        try:
            answer = running.task.answer()
        except Unavailable:
            assert running.call.disturbed
        else:
            running.check(answer)

    def _note_effect(self, operation: str, request: AWSPreparedRequest) -> None:
        if operation == "GetItem":
            return
        body = cast(bytes, request.body).decode()
        self._touched |= {phone_id for phone_id in self.reference.phones if phone_id in body}
        if operation == "PutEvents":
            (entry,) = json.loads(body)["Entries"]
            kind = entry["DetailType"].removeprefix("SIP Phone Credentials ")
            self._announced[json.loads(entry["Detail"])["credentialsId"]].add(kind)
            self.figures[f"announcements: {kind}"] += 1

    def _look(self, by: Call) -> None:
        self.reference.moment += 1
        for phone in filter(None, map(SipPhones.find, self._touched)):
            valid = self.reference.valid(phone.id, at=self.clock())
            self.reference.see(phone.id, self._seen(phone), by=by, at=self.clock())
            if not phone.unsettled:
                self._check_copy(phone)
            if valid != (now_valid := self.reference.valid(phone.id, at=self.clock())):
                self.look_up(phone.id, {*valid, *now_valid})
        self._touched.clear()

    def look_up(self, phone_id: str, pair_ids: set[str] | None = None) -> None:
        """Asks as a registrar for those pairs, or all that the phone has ever had."""
        found = {}
        for known in self.reference.phones[phone_id].pairs:
            if pair_ids is None or known.pair_id in pair_ids:
                self.figures["lookups"] += 1
                with suppress(NotFound):
                    digest = self.services.registrar.digest(known.pair[0], scope=EVERY_PHONE)
                    found[digest.credentials_id] = digest.valid_until
        assert found == self.reference.valid(phone_id, at=self.clock()), "other pairs are valid than should be"

    def _check_copy(self, phone: SipPhones) -> None:
        copy = self._read_secret(phone.id)
        assert copy["credentialsId"] == phone.credentials_id, "settled, and the mirror has another pair"
        assert (copy["username"], copy["password"]) == pair_of(phone)
        assert copy["customer"] == phone.customer

    def _seen(self, phone: SipPhones) -> Seen:
        previous = (phone.previous_username, phone.previous_password)
        until = phone.previous_valid_until
        return Seen(
            pair_id=phone.credentials_id,
            pair=pair_of(phone),
            changed_at=phone.credentials_changed_at,
            old=None if until is None else Old(phone.previous_credentials_id, previous, until),
            adopted=phone.adopted_at is not None,
            announced=frozenset(self._announced[phone.credentials_id]),
            owner=Owner(phone.customer, phone.reseller),
            planned=phone.planned_rotation,
            tend_at=phone.tend_at,
            rotation_days=None if phone.rotation_days is None else int(phone.rotation_days),
            settled=not phone.unsettled,
        )
