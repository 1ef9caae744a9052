"""Every write to the table of phones, each of them conditional.

The functions raise :class:`~chalicelib.dynamodb.ConditionFailed` when a clause of the condition does not hold,
and :class:`~chalicelib.errors.Unavailable` when DynamoDB did not answer and nobody knows whether it happened.

A publication that may still write to the mirror is listed in the phone's ``unsettled``. Nobody but itself takes
it out of there before ``PUBLISHER_LIFE`` is over, which is why whoever lists one sets ``tendAt`` that far ahead,
and why nobody brings ``tendAt`` forward while the set has members.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from chalicelib import idempotency
from chalicelib.access import EVERY_PHONE, Scope
from chalicelib.changes import Change, Due
from chalicelib.dynamodb import ConditionFailed, translated_errors, update, write
from chalicelib.phones import SipPhones, shard_of

PUBLISHER_LIFE = timedelta(minutes=2)
"""Longer than any publisher can live: the SDK's timeouts and the function's timeout end it well before."""


def commit(
    phone_id: str,
    change: Change,
    *,
    scope: Scope = EVERY_PHONE,
    due: Due | None = None,
    keep_previous: bool = False,
) -> SipPhones:
    """Puts the pair of ``change`` in force and answers with the phone as it is then.

    The condition: the phone exists, is in ``scope``, and was not changed by the same request before: it is still
    ``due`` if that is why it changes, otherwise it does not remember the request.

    With a grace period, the pair that is replaced stays valid; or, with ``keep_previous``, the pair before that,
    which is the one that a phone in its grace period is known to use. The condition says which of the two it is.
    """
    condition: Condition = SipPhones.id.exists()
    if (in_scope := scope.condition()) is not None:
        condition &= in_scope
    actions: list[Action] = [
        *_previous_pair(change, keep=keep_previous),
        SipPhones.username.set(change.credentials.username),
        SipPhones.password.set(change.credentials.password),
        SipPhones.credentials_id.set(change.credentials_id),
        SipPhones.credentials_changed_at.set(change.changed_at),
        SipPhones.changed_by.set(change.changed_by),
        SipPhones.changed_via.set(change.changed_via),
        _set_or_remove(SipPhones.change_reason, change.reason),
        SipPhones.adopted_at.remove(),
        SipPhones.planned_rotation.remove(),
        SipPhones.tend_failures.remove(),
        SipPhones.unsettled.add({change.credentials_id}),
        *_agenda(phone_id, change.changed_at),
    ]
    if change.grace:
        open_period = SipPhones.previous_valid_until > change.changed_at
        condition &= open_period if keep_previous else ~open_period
    if due is not None:
        condition &= due.condition()
    else:
        digest = change.request_digest
        condition &= _unknown_request(digest, change.changed_at)
        entry = idempotency.entry(change.credentials_id, change.changed_at)
        actions.append(SipPhones.recent_requests[digest].set(entry))
    return update(SipPhones(phone_id), actions, condition)


def _previous_pair(change: Change, *, keep: bool) -> list[Action]:
    """What a commit does with the pair that it replaces. Its username stays: a phone is told under that one."""
    if keep:
        return [SipPhones.previous_valid_until.set(change.changed_at + change.grace)]
    # A phone without a pair gets the new one here too, because a path that is copied must exist.
    username = SipPhones.previous_username.set(SipPhones.username | change.credentials.username)
    if not change.grace:
        return [username, *_DROP_PREVIOUS]
    return [
        username,
        SipPhones.previous_password.set(SipPhones.password | change.credentials.password),
        SipPhones.previous_credentials_id.set(SipPhones.credentials_id | change.credentials_id),
        SipPhones.previous_valid_until.set(change.changed_at + change.grace),
    ]


_DROP_PREVIOUS: list[Action] = [
    SipPhones.previous_password.remove(),
    SipPhones.previous_credentials_id.remove(),
    SipPhones.previous_valid_until.remove(),
]


def settle(phone: SipPhones, token: str, *, secret_arn: str | None, due: datetime | None, now: datetime) -> bool:
    """Records that the publication ``token`` is complete and when the phone is next due (None: never).

    ``secret_arn`` is where the copy was written, None where there was nothing to write. False when another
    publication may still be under way, another pair is in force, or the grace period has ended: then what is
    left to do stays on the agenda. Forgets the requests that are too old or too many.
    """
    ours = {token}
    if phone.unsettled != ours:
        return False
    forgettable = idempotency.forgettable(phone.requests(), now)
    actions: list[Action] = [
        SipPhones.unsettled.delete(ours),
        SipPhones.tend_failures.remove(),
        _set_or_remove(SipPhones.tend_at, due),
        *(SipPhones.recent_requests[digest].remove() for digest in forgettable),
    ]
    if secret_arn is not None:
        actions += [SipPhones.secret_arn.set(secret_arn), SipPhones.secret_version_id.set(token)]
    unchanged = (SipPhones.credentials_id == phone.credentials_id) & (SipPhones.unsettled == ours)
    # A proof that came meanwhile ended the grace period, whose end is no date any more.
    unchanged &= _has(SipPhones.previous_valid_until, phone.previous_valid_until)
    try:
        write(SipPhones, phone.id, actions, unchanged)
    except ConditionFailed:
        return False
    if secret_arn is not None:
        phone.secret_arn, phone.secret_version_id = secret_arn, token
    return True


def adopt(document: Mapping[str, Any], change: Change) -> SipPhones:
    """Adds the phone of ``document`` with the pair of ``change`` in force, if it is not in the table.

    ``document`` has the phone's properties under their own names, as `docs/openapi.yaml` has them.
    """
    phone = SipPhones()
    phone.from_simple_dict(dict(document))
    phone.username = change.credentials.username
    phone.password = change.credentials.password
    phone.credentials_id = change.credentials_id
    phone.credentials_changed_at = change.changed_at
    phone.changed_by = change.changed_by
    phone.changed_via = change.changed_via
    phone.recent_requests = {}
    phone.unsettled = {change.credentials_id}
    phone.tend_shard = shard_of(phone.id)
    phone.tend_at = change.changed_at + PUBLISHER_LIFE
    with translated_errors():
        phone.save(condition=SipPhones.id.does_not_exist())
    return phone


def revise(phone: SipPhones, properties: Mapping[str, Any], *, token: str, now: datetime) -> None:
    """Sets properties of the phone, or clears those that are None, if it has the owner that it was read with.

    Lists ``token`` as unsettled: what the properties change elsewhere, such as the owner in the mirror and the
    due date, is complete when that is settled.
    """
    revised = SipPhones()
    revised.from_simple_dict({name: value for name, value in properties.items() if value is not None})
    actions: list[Action] = [SipPhones.unsettled.add({token}), *_agenda(phone.id, now)]
    for name in properties:
        attribute_name = SipPhones._dynamo_to_python_attr(name)  # noqa: SLF001 - PynamoDB has no public way
        actions.append(_set_or_remove(getattr(SipPhones, attribute_name), getattr(revised, attribute_name)))
    # Two revisions at once must not make an owner of one's customer and the other's reseller.
    same_owner = _has(SipPhones.customer, phone.customer) & _has(SipPhones.reseller, phone.reseller)
    update(phone, actions, SipPhones.id.exists() & same_owner)


def take_over(phone: SipPhones, token: str, *, now: datetime) -> None:
    """Lists the publication ``token`` in place of all others, if the phone is still as it was read.

    Only for whoever made sure that the others can do no more harm.
    """
    unchanged = (SipPhones.credentials_id == phone.credentials_id) & (SipPhones.unsettled == phone.unsettled)
    update(phone, [SipPhones.unsettled.set({token}), *_agenda(phone.id, now)], unchanged)


def postpone(phone: SipPhones, *, until: datetime) -> None:
    """Puts a phone that cannot be tended off ``until`` then, and counts that, if it is still as it was read."""
    failures = int(phone.tend_failures or 0) + 1
    write(
        SipPhones,
        phone.id,
        [SipPhones.tend_at.set(until), SipPhones.tend_failures.set(failures)],
        # Another reset in the same second has the same date.
        (SipPhones.tend_at == phone.tend_at) & _has(SipPhones.unsettled, phone.unsettled),
    )


def reschedule(
    phone: SipPhones,
    *,
    due: datetime | None,
    planned: bool = False,
    request: tuple[str, datetime] | None = None,
) -> None:
    """Gives a phone the date ``due`` (None: never), which is ``planned`` or regular.

    Nobody may be at work on it, and its dates must still follow from what was read.
    ``request`` is the digest of the idempotency key of whoever asked, and when: once for each key.
    """
    actions: list[Action] = [
        _set_or_remove(SipPhones.tend_at, due),
        SipPhones.tend_shard.set(shard_of(phone.id)),
        _set_or_remove(SipPhones.planned_rotation, due if planned else None),
    ]
    same_pair: Condition = SipPhones.credentials_id == phone.credentials_id
    condition = same_pair & _same_dates(phone) & SipPhones.unsettled.does_not_exist()
    if request is not None:
        digest, now = request
        actions.append(SipPhones.recent_requests[digest].set(idempotency.entry(phone.credentials_id, now)))
        condition &= _unknown_request(digest, now)
    write(SipPhones, phone.id, actions, condition)


def end_grace(phone: SipPhones, *, due: datetime | None, adopted_at: datetime | None = None) -> None:
    """Drops the old pair of a phone that has kept its pair in force, and records the proof if there was one.

    A phone that nobody is at work on is ``due`` next (None: never); with another one the agenda is left alone.
    """
    actions = list(_DROP_PREVIOUS)
    condition: Condition = SipPhones.credentials_id == phone.credentials_id
    condition &= _has(SipPhones.unsettled, phone.unsettled)
    if adopted_at is None:
        condition &= SipPhones.previous_valid_until == phone.previous_valid_until
    else:
        actions.append(SipPhones.adopted_at.set(adopted_at))
        condition &= SipPhones.adopted_at.does_not_exist()
    if not phone.unsettled:
        actions.append(_set_or_remove(SipPhones.tend_at, due))
        condition &= _same_dates(phone)
    write(SipPhones, phone.id, actions, condition)


def remember_requests(phone_id: str) -> None:
    """Gives a phone that was not made by our import the empty map in which a commit records its key."""
    empty: dict[str, Any] = {}
    with suppress(ConditionFailed):
        write(
            SipPhones,
            phone_id,
            [SipPhones.recent_requests.set(empty)],
            SipPhones.id.exists() & SipPhones.recent_requests.does_not_exist(),
        )


def _agenda(phone_id: str, now: datetime) -> list[Action]:
    """Brings the phone up again when the life of a publisher that starts now is over."""
    return [SipPhones.tend_shard.set(shard_of(phone_id)), SipPhones.tend_at.set(now + PUBLISHER_LIFE)]


def _unknown_request(digest: str, now: datetime) -> Condition:
    remembered = SipPhones.recent_requests[digest]
    unknown = remembered.does_not_exist() | (remembered["at"] < idempotency.oldest(now))
    # A path can only be set inside a map that exists.
    return cast(Condition, SipPhones.recent_requests.exists() & unknown)


def _same_dates(phone: SipPhones) -> Condition:
    """The phone has the date that it was read with, and what its next one follows from."""
    fetched = Path(SipPhones.status.config_loaded)
    condition: Condition = fetched.exists() if phone.has_fetched_configuration else fetched.does_not_exist()
    condition &= _has(SipPhones.rotation_days, phone.rotation_days)
    condition &= _has(SipPhones.tend_at, phone.tend_at)
    return condition


def _has(attribute: Any, value: Any) -> Condition:
    condition: Condition = attribute.does_not_exist() if value is None else attribute == value
    return condition


def _set_or_remove(attribute: Any, value: Any) -> Action:
    action: Action = attribute.remove() if value is None else attribute.set(value)
    return action
