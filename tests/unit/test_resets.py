"""The reset when something fails: what the caller hears, and what the table and the mirror have then."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import app
from chalicelib.access import EVERY_PHONE
from chalicelib.errors import Superseded, Unavailable
from chalicelib.idempotency import KEPT
from chalicelib.idempotency import LIFE as REQUESTS_LIVE
from chalicelib.phone_writes import PUBLISHER_LIFE
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publication
from chalicelib.resets import Reset, Resets
from tests.support.aws import Wire
from tests.support.fleet import import_lines, imported, pair_of, stored

Mirrored = Callable[[str], dict[str, Any]]


def reset(phone: SipPhones, *, key: str | None = None, resets: Resets | None = None) -> Reset:
    return (resets or app.services().resets).reset(
        phone.id, scope=EVERY_PHONE, changed_by="test", changed_via="http", request_key=key
    )


def assert_left_to_tend(phone: SipPhones, credentials_id: str) -> None:
    """The pair waits, with its publisher's time still to run out."""
    now = stored(phone.id)
    assert credentials_id in now.unsettled
    assert now.tend_shard is not None
    assert now.tend_at - now.credentials_changed_at > PUBLISHER_LIFE - timedelta(seconds=1)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_commit_whose_answer_was_lost_is_not_repeated(wire: Wire, mirrored: Mirrored, key: str | None) -> None:
    phone = imported()
    committed: list[SipPhones] = []
    wire.lose_answer("UpdateItem", then=lambda: committed.append(stored(phone.id)))
    answer = reset(phone, key=key)

    assert pair_of(answer.phone) == pair_of(committed[0]) == pair_of(stored(phone.id))
    assert not answer.replayed
    assert answer.mirrored
    assert mirrored(phone.id)["password"] == answer.phone.password


def import_again(phone: SipPhones) -> None:
    import_lines(json.dumps({"_id": phone.id, "customer": phone.customer}))


def give_up_publishers(phone: SipPhones) -> None:
    """What a sweep does when their time is over."""
    app.services().publisher.complete(stored(phone.id))


@pytest.mark.parametrize(
    "meanwhile",
    [(reset,), (import_again, reset), (give_up_publishers, reset), (reset, give_up_publishers)],
    ids=lambda steps: " and ".join(step.__name__ for step in steps),
)
@pytest.mark.parametrize("key", [None, "k"])
def test_a_commit_whose_answer_was_lost_does_not_undo_a_reset_that_came_between(
    wire: Wire, mirrored: Mirrored, key: str | None, meanwhile: tuple[Callable[[SipPhones], object], ...]
) -> None:
    phone = imported()
    done: list[object] = []
    wire.lose_answer("UpdateItem", then=lambda: done.extend(step(phone) for step in meanwhile))
    with pytest.raises(Superseded):
        reset(phone, key=key)

    now = stored(phone.id)
    (between,) = (step for step in done if isinstance(step, Reset))
    assert pair_of(now) == pair_of(between.phone)
    if not now.unsettled:
        assert mirrored(phone.id)["password"] == now.password


def test_a_reset_that_was_unavailable_is_settled_by_its_key(wire: Wire, mirrored: Mirrored) -> None:
    phone = imported()
    for _ in range(3):
        wire.lose_answer("UpdateItem")
    with pytest.raises(Unavailable):
        reset(phone, key="k")
    committed = stored(phone.id)
    assert_left_to_tend(phone, committed.credentials_id)

    again = reset(phone, key="k")
    assert again.replayed
    assert pair_of(again.phone) == pair_of(committed)
    assert again.mirrored
    assert mirrored(phone.id)["password"] == committed.password


@pytest.fixture
def later(engine: str) -> Resets:
    """The same service, a day later."""
    assert engine
    tomorrow = app.services().clock() + REQUESTS_LIVE + timedelta(seconds=1)
    publisher = replace(app.services().publisher, clock=lambda: tomorrow)
    return Resets(publisher, clock=lambda: tomorrow)


def test_a_key_is_new_again_after_a_day(later: Resets) -> None:
    phone = imported()
    first = reset(phone, key="k")
    second = reset(phone, key="k", resets=later)
    assert not second.replayed
    assert pair_of(second.phone) != pair_of(first.phone)
    assert reset(phone, key="k", resets=later).replayed


def test_old_keys_are_forgotten_with_the_next_reset(later: Resets) -> None:
    phone = imported()
    reset(phone, key="old")
    reset(phone, key="new", resets=later)
    assert len(stored(phone.id).requests()) == 1


@pytest.mark.usefixtures("engine")
def test_resets_without_a_key_displace_no_key_and_are_not_remembered_without_end() -> None:
    phone = imported()
    reset(phone, key="k")
    for _ in range(KEPT + 6):
        reset(phone)
    assert len(stored(phone.id).requests()) <= 1 + KEPT + 1
    with pytest.raises(Superseded):
        reset(phone, key="k")


MIRROR_FAULTS = [
    "ThrottlingException",
    "LimitExceededException",
    "AccessDeniedException",
    "InternalServiceError",
]


@pytest.mark.parametrize("code", MIRROR_FAULTS)
def test_a_mirror_that_refuses_delays_the_copy_and_not_the_reset(
    wire: Wire, mirrored: Mirrored, code: str
) -> None:
    phone = imported()
    wire.refuse("PutSecretValue", code, times=2)
    answer = reset(phone)

    assert not answer.mirrored
    assert pair_of(stored(phone.id)) == pair_of(answer.phone)
    assert mirrored(phone.id)["password"] == phone.password
    assert_left_to_tend(phone, answer.phone.credentials_id)


def test_a_mirror_out_of_reach_delays_the_copy_and_not_the_reset(wire: Wire) -> None:
    phone = imported()
    wire.drop("PutSecretValue", times=2)
    answer = reset(phone)
    assert not answer.mirrored
    assert_left_to_tend(phone, answer.phone.credentials_id)


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "InternalException"])
def test_a_bus_that_refuses_delays_the_announcement_and_not_the_reset(
    wire: Wire, mirrored: Mirrored, code: str
) -> None:
    phone = imported()
    wire.refuse("PutEvents", code, times=2)
    answer = reset(phone)

    assert not answer.mirrored
    assert mirrored(phone.id)["password"] == answer.phone.password
    assert_left_to_tend(phone, answer.phone.credentials_id)


def test_settling_that_fails_leaves_the_phone_to_tend(wire: Wire) -> None:
    phone = imported()
    wire.hold("UpdateItem", until=lambda: None)
    wire.refuse("UpdateItem", "ThrottlingException", times=3)
    answer = reset(phone)
    assert not answer.mirrored
    assert_left_to_tend(phone, answer.phone.credentials_id)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("operation", ["PutSecretValue", "PutEvents"])
def test_an_answer_that_cannot_be_read_delays_the_copy_and_not_the_reset(
    wire: Wire, operation: str, status: int
) -> None:
    phone = imported()
    wire.cut_short(operation, status=status)
    answer = reset(phone)
    assert answer.publication is Publication.UNAVAILABLE
    assert_left_to_tend(phone, answer.phone.credentials_id)


def test_a_commit_whose_answer_cannot_be_read_is_settled_by_its_key(wire: Wire) -> None:
    phone = imported()
    wire.cut_short("UpdateItem")
    with pytest.raises(Unavailable):
        reset(phone, key="k")
    committed = stored(phone.id)
    again = reset(phone, key="k")
    assert again.replayed
    assert pair_of(again.phone) == pair_of(committed) != pair_of(phone)


def test_a_replay_whose_phone_arrives_cut_short_is_not_told_that_there_is_none(wire: Wire) -> None:
    phone = imported()
    first = reset(phone, key="k")
    wire.cut_short("GetItem")
    with pytest.raises(Unavailable):
        reset(phone, key="k")
    assert pair_of(reset(phone, key="k").phone) == pair_of(first.phone)


@pytest.mark.parametrize("spoil", ["refused", "cut short"])
def test_a_settling_that_is_refused_or_cut_short_does_not_fail_the_reset(wire: Wire, spoil: str) -> None:
    phone = imported()
    wire.hold("UpdateItem", until=lambda: None)
    if spoil == "refused":
        wire.refuse("UpdateItem", "AccessDeniedException")
    else:
        wire.cut_short("UpdateItem")
    answer = reset(phone)
    assert not answer.mirrored
    assert pair_of(stored(phone.id)) == pair_of(answer.phone)


@pytest.mark.usefixtures("engine")
def test_a_fault_of_ours_after_the_commit_does_not_fail_the_reset(
    monkeypatch: pytest.MonkeyPatch, service_log: list[dict[str, Any]]
) -> None:
    phone = imported()

    def faulty(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("chalicelib.publishing.Publisher.publish", faulty)
    answer = reset(phone)
    assert answer.publication is Publication.REFUSED
    assert_left_to_tend(phone, answer.phone.credentials_id)
    assert any("ZeroDivisionError" in line.get("exception", "") for line in service_log)


def test_a_replay_completes_what_its_first_attempt_left(wire: Wire, mirrored: Mirrored) -> None:
    phone = imported()
    wire.drop("PutSecretValue", times=2)
    first = reset(phone, key="k")
    replay = reset(phone, key="k")

    assert not first.mirrored
    assert replay.mirrored
    assert replay.replayed
    assert mirrored(phone.id)["password"] == first.phone.password
    assert not stored(phone.id).unsettled


@pytest.mark.engine("roto")  # real threads; moto's table is not made for them
def test_two_resets_whose_publishes_overtake_each_other_leave_the_later_pair_in_force(wire: Wire) -> None:
    phone = imported()
    first_is_held, second_is_done = threading.Event(), threading.Event()

    def hold() -> None:
        first_is_held.set()
        assert second_is_done.wait(20)

    wire.hold("PutSecretValue", until=hold)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(reset, phone, key="first")
        assert first_is_held.wait(20)
        second = reset(phone, key="second")
        second_is_done.set()

    # I1: both were answered, and the pair of the later one is in the table, whole.
    assert pair_of(stored(phone.id)) == pair_of(second.phone)
    # I2: the mirror has the earlier pair now, and neither publisher believes that all is done.
    assert not first.result().mirrored
    assert not second.mirrored
    assert stored(phone.id).unsettled == {first.result().phone.credentials_id, second.phone.credentials_id}
    assert_left_to_tend(phone, second.phone.credentials_id)
    # I3: neither request can rotate again.
    with pytest.raises(Superseded):
        reset(phone, key="first")
    assert reset(phone, key="second").replayed
    assert pair_of(stored(phone.id)) == pair_of(second.phone)


@pytest.mark.engine("roto")  # real threads; moto's table is not made for them
@pytest.mark.usefixtures("engine")
def test_many_requests_with_one_key_at_once_make_one_reset() -> None:
    phone = imported()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: reset(phone, key="k"), range(16)))
    assert len({pair_of(answer.phone) for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert pair_of(stored(phone.id)) == pair_of(answers[0].phone)
