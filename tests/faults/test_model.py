"""The whole service against a reference of it: any calls, in any order of their requests to AWS, with any faults.

The histories are the same each time. FULL=1 takes ten times as many and others each time, `--hypothesis-profile=long`
even more.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import app
from chalicelib import phones, tending, tokens
from chalicelib.access import EVERY_PHONE, AccessLevel
from chalicelib.errors import NotFound
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from chalicelib.planning import Selection, Window
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from chalicelib.tending import LONGEST_BACK_OFF
from ops.importing import Outcome, Result, import_phones
from ops.phone_records import Record
from tests.support.api import ChaliceApi
from tests.support.aws import Wire
from tests.support.beside import HOUR, Beside, Running
from tests.support.callers import Heard, ask_by_invocation, ask_over_http
from tests.support.figures import write
from tests.support.fleet import empty_agenda
from tests.support.interleaving import Fate, turns
from tests.support.reference import Call, Identity, Owner, Token

PHONES = ["A" * 24, "B" * 24, "C" * 24]
OWNERS = [Owner("C1", "R1"), Owner("C2", "R1"), Owner("C2")]
IDENTITIES = [
    Identity("ADMIN"),
    Identity("OWNER", Owner("C1")),
    Identity("OWNER", Owner("C2")),
    Identity("RESELLER", Owner(reseller="R1")),
]
KEYS = ["a", "b"]
AT_ONCE = 4
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

Check = Callable[[Any], object]

a_phone = st.sampled_from([*PHONES[:1] * 6, *PHONES])  # most of it about one of them
a_place = st.integers(0, 11)
a_token = st.integers(0, len(IDENTITIES)) | st.just(0)
a_grace = st.sampled_from([timedelta(0), timedelta(minutes=1), HOUR])
a_while = st.sampled_from([SECOND, PUBLISHER_LIFE, PUBLISHER_LIFE + SECOND])
some_details = st.builds(
    lambda days, status: {"rotationDays": days, "status": status},
    st.sampled_from([None, 30, 0]),
    st.sampled_from([None, {"configLoaded": "2026-01-05T08:00:00Z"}]),
)
# Every other call goes on to its end without any fault. The others meet one fate somewhere, and stand still after it
# until somebody lets them go on.
some_fates = st.just([Fate.ARRIVES] * 20) | st.builds(
    lambda before, fate, times: [Fate.ARRIVES] * before + [fate] * times,
    st.integers(0, 6),
    st.sampled_from(Fate),
    st.sampled_from([1, 1, 1, 3]),
)
held_back = st.builds(lambda before: [Fate.ARRIVES] * before, st.integers(0, 2))
# What can happen, how often, and with what. Rules of their own would be left out of whole histories at random.
STEPS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "reset_over_http": (5, {
        "phone_id": a_phone, "method": st.sampled_from(["GET", "POST"]), "token": a_token,
        "key": st.sampled_from([None, None, *KEYS]), "grace": a_grace, "fates": some_fates,
    }),
    "reset_by_invocation": (3, {
        "phone_id": a_phone, "caller": st.sampled_from([None, *IDENTITIES]), "key": st.sampled_from(KEYS),
        "grace": a_grace, "fates": some_fates,
    }),
    "registered": (4, {
        "phone_id": a_phone, "pairs_ago": st.sampled_from([0, 0, 0, 1, 2]), "fates": some_fates | held_back,
    }),
    "look_up": (1, {"phone_id": a_phone}),
    "import_phone": (3, {
        "phone_id": a_phone, "owner": st.sampled_from(OWNERS), "details": some_details, "brings_pair": st.booleans(),
        "fates": some_fates,
    }),
    "plan_rotation": (2, {
        "phone_id": a_phone, "key": st.sampled_from(KEYS), "cancel": st.booleans(), "fates": some_fates,
    }),
    "sweep": (4, {
        "passed": a_while, "fleet_days": st.sampled_from([0, 90]), "grace": a_grace, "fates": some_fates,
    }),
    "renew_token": (1, {"token": a_place, "fates": some_fates}),
    "proceed": (4, {"which": a_place, "fates": some_fates}),
    "pass_time": (1, {"passed": a_while | st.sampled_from([2 * HOUR, DAY + HOUR, 40 * DAY])}),
}  # fmt: skip
a_step = st.sampled_from([name for name, (weight, _) in STEPS.items() for _ in range(weight)]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(STEPS[name][1]))
)


class Model(RuleBasedStateMachine):
    """Asks, and decides what becomes of each request. `Beside` and `Reference` have what must be true all along."""

    def __init__(self, wire: Wire, live: Services, secrets_manager: Any, figures: Counter[str]) -> None:
        super().__init__()
        self.secrets_manager = secrets_manager
        self.figures = figures
        self.cleanup = ExitStack()
        self.it = Beside(live, self.cleanup.enter_context(turns(wire)), PHONES, self.read_secret)
        patch = self.cleanup.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(app, "services", lambda: self.it.services)
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        for module in (phones, tending):  # three phones need one, and sweeps of sixteen take half of all the time
            patch.setattr(module, "SHARDS", 1)
        self.api = ChaliceApi()
        self.tokens: list[Token] = []

    @initialize(announce_first=st.booleans())
    def begin(self, announce_first: bool) -> None:
        for phone_id in PHONES:
            SipPhones(phone_id).delete()
            self.secrets_manager.delete_secret(SecretId=f"sip-phones/{phone_id}", ForceDeleteWithoutRecovery=True)
        self.it.announce(first=announce_first)
        for phone_id, owner in zip(PHONES[:2], OWNERS[:2], strict=True):
            self.import_phone(phone_id, owner, {"rotationDays": 30}, [Fate.ARRIVES] * 9)
        self.tokens = [self.issue(identity) for identity in IDENTITIES]

    def issue(self, identity: Identity) -> Token:
        level, now = AccessLevel(identity.level), self.it.clock()
        text = tokens.issue(level, **vars(identity.owner), description="model", lifetime=30 * DAY, now=now)
        return Token(text, identity, now + 30 * DAY)

    def read_secret(self, phone_id: str) -> dict[str, Any]:
        value = self.secrets_manager.get_secret_value(SecretId=f"sip-phones/{phone_id}")
        secret: dict[str, Any] = json.loads(value["SecretString"])
        return secret

    @rule(step=a_step)
    def take(self, step: tuple[str, dict[str, Any]]) -> None:
        name, given = step
        getattr(self, name)(**given)

    # What is asked of it.

    def reset_over_http(
        self, phone_id: str, method: str, token: int, key: str | None, grace: timedelta, fates: list[Fate]
    ) -> None:
        presented = self.tokens[token % len(self.tokens)]
        call = self.it.call("reset", phone_id, identity=presented.identity, key=key, token=presented, grace=grace)
        headers = {"Authorization": f"Bearer {presented.text}"} | ({"Idempotency-Key": key} if key else {})
        check = partial(self.check_reset, call)
        ask = partial(ask_over_http, self.api, method, phone_id, headers, grace=grace // SECOND)
        self.start(fates, call, ask, check)

    def reset_by_invocation(
        self, phone_id: str, caller: Identity | None, key: str, grace: timedelta, fates: list[Fate]
    ) -> None:
        call = self.it.call("reset", phone_id, identity=caller or Identity("ADMIN"), key=key, grace=grace)
        asked: dict[str, Any] = {"idempotencyKey": key, "grace": grace // SECOND}
        if caller is not None:
            owner = {name: value for name, value in vars(caller.owner).items() if value}
            asked["onBehalfOf"] = {"accessLevel": caller.level, **owner}
        check = partial(self.check_reset, call)
        self.start(fates, call, lambda: ask_by_invocation(phone_id, **asked), check)

    def check_reset(self, call: Call, heard: Heard) -> None:
        self.it.reference.check(call, heard, at=self.it.clock())

    def registered(self, phone_id: str, pairs_ago: int, fates: list[Fate]) -> None:
        pairs = self.it.reference.phones[phone_id].pairs
        if len(pairs) <= pairs_ago:
            return
        call = self.it.call("registered", phone_id, username=pairs[-1 - pairs_ago].pair[0])

        def report() -> bool | None:
            try:
                return self.it.services.registrar.registered(call.username, scope=EVERY_PHONE).adopted
            except NotFound:
                return None

        def check(adopted: bool | None) -> None:
            self.it.reference.check_registered(call, adopted, at=self.it.clock())

        self.start(fates, call, report, check)

    def look_up(self, phone_id: str) -> None:
        self.it.look_up(phone_id)

    def import_phone(
        self, phone_id: str, owner: Owner, details: dict[str, Any], fates: list[Fate], *, brings_pair: bool = False
    ) -> None:
        call = self.it.call("import", phone_id)
        pair = {"username": f"legacy-{phone_id}", "password": "legacy"} if brings_pair else {}
        record = Record(1, {"_id": phone_id, **vars(owner), **details, **pair})

        def check(results: list[Result]) -> None:
            if results[0].outcome is Outcome.FAILED:
                assert call.disturbed, results[0].reason
            else:
                assert owner in self.it.reference.phones[phone_id].owners_since(call.began)

        self.start(fates, call, lambda: list(import_phones(self.it.services, [record], by="model")), check)

    def plan_rotation(self, phone_id: str, key: str, cancel: bool, fates: list[Fate]) -> None:
        plan = partial(self.it.services.planning.plan, request_key=key, dry_run=False, time_left=lambda: HOUR)
        window = None if cancel else Window(self.it.clock() + HOUR, HOUR)
        self.start(fates, self.it.call("plan", phone_id), lambda: plan(Selection(phone_ids=[phone_id]), window))

    def sweep(self, passed: timedelta, fleet_days: int, grace: timedelta, fates: list[Fate]) -> None:
        self.it.clock.now += passed
        self.start(fates, self.it.call("sweep", grace=grace), partial(self.it.sweep, fleet_days, grace))

    def renew_token(self, token: int, fates: list[Fate]) -> None:
        token %= len(IDENTITIES)
        old = self.tokens[token]
        self.tokens[token] = self.issue(old.identity)
        self.tokens.append(old)
        call = self.it.call("revoke")
        if old.revoking_since is None:
            old.revoking_since = call.began

        def check(_: None) -> None:
            if old.revoked_since is None:
                old.revoked_since = self.it.reference.moment

        self.start(fates, call, lambda: tokens.revoke(old.text.split("_")[1], now=self.it.clock()), check)

    def start(self, fates: list[Fate], call: Call, ask: Callable[[], Any], check: Check = lambda _: None) -> None:
        if len(self.it.under_way) == AT_ONCE:
            self.it.finish(self.it.under_way[0])
        self.go_on(self.it.start(call, ask, check), fates)

    # What becomes of it.

    def go_on(self, running: Running, fates: list[Fate]) -> None:
        for fate in fates:
            if not running.task.over:
                self.it.proceed(running, fate)

    def proceed(self, which: int, fates: list[Fate]) -> None:
        if self.it.under_way:
            self.go_on(self.it.under_way[which % len(self.it.under_way)], fates)

    def pass_time(self, passed: timedelta) -> None:
        if passed > DAY:
            self.it.end_all()  # what is late can be late by a day at most
        self.it.clock.now += passed

    # What must be true in the end.

    def teardown(self) -> None:
        with self.cleanup:
            if sys.exc_info()[0] is None:
                self.let_all_come_right()
            self.figures.update(self.it.figures)

    def let_all_come_right(self) -> None:
        self.sweep_and_find_all_right(PUBLISHER_LIFE)
        if any(phone.tend_failures for phone in self.it.phones()):
            self.it.end_all()
            self.sweep_and_find_all_right(LONGEST_BACK_OFF)
        if self.it.under_way:
            while self.it.under_way:
                self.it.finish(self.it.under_way[0])
            self.sweep_and_find_all_right(PUBLISHER_LIFE)
        second = self.it.sweep_at_once()
        # What was completed long after its pair came into force can be at the end of its grace period, or due again.
        assert second.due == second.rotated + second.grace_ended, "one sweep left something undone"
        for phone_id in PHONES:
            self.look_up(phone_id)

    def sweep_and_find_all_right(self, passed: timedelta) -> None:
        """One sweep after that time settles every phone, but for those that AWS refused before."""
        self.it.clock.now += passed + SECOND
        self.it.sweep_at_once()
        for phone in self.it.phones():
            assert phone.tend_failures or not phone.unsettled, "one sweep did not settle it"


@pytest.mark.engine("roto")  # moto does not keep Secrets Manager's rules for versions and labels
def test_whatever_is_asked_in_whatever_order_and_whatever_fails_the_promises_hold(
    wire: Wire, aws_client: Callable[[str], Any]
) -> None:
    empty_agenda()
    figures: Counter[str] = Counter()
    live = connect(Settings.from_env())
    machine: Any = partial(Model, wire, live, aws_client("secretsmanager"), figures)
    many = settings(settings.get_profile("long"), max_examples=1_000)
    run_state_machine_as_test(machine, settings=many if os.environ.get("FULL") else settings())
    write("model", "The service against its model", [(name, f"{figure:,}") for name, figure in figures.items()])
