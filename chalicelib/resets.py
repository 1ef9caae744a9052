"""The reset of a phone's credentials: commit, publish, settle.

``commit`` puts a new pair in force with one conditional write; from then on the reset has succeeded.
``publish`` copies the pair to Secrets Manager and announces it; ``settle`` records that this is done. When
one of the two fails, the phone stays on the agenda and the copies follow later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib import idempotency, phone_writes
from chalicelib.access import EVERY_PHONE, Scope
from chalicelib.announcements import ChangedVia
from chalicelib.changes import Change, Due
from chalicelib.clock import Clock
from chalicelib.credentials import generate
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import NotFound, Superseded, Unavailable
from chalicelib.phones import SipPhones, canonical_id
from chalicelib.publishing import Publication, Publisher
from chalicelib.telemetry import count_reset, logger

# A clause that failed can hold again at the next attempt, for instance when the phone changed hands or a key
# grew too old in between. Three such turns in one request do not happen by chance.
_ATTEMPTS = 3

NO_GRACE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset that succeeded: the phone with the pair in force."""

    phone: SipPhones
    publication: Publication
    replayed: bool
    """An earlier request with the same idempotency key had made this reset already."""

    @property
    def mirrored(self) -> bool:
        """The mirror has the pair and the announcement is out; otherwise they follow."""
        return self.publication is Publication.SETTLED


class NotDue(Exception):
    """A phone that was to be rotated is not due. ``phone`` is how it was found, None if it is gone."""

    def __init__(self, phone: SipPhones | None) -> None:
        super().__init__()
        self.phone = phone


@dataclass(frozen=True, slots=True)
class Resets:
    """The use case, with what it works on."""

    publisher: Publisher
    clock: Clock
    rotation_grace: timedelta = NO_GRACE
    """How long the old pair stays valid after a rotation that nobody asked for."""

    def reset(
        self,
        phone_id: str,
        *,
        changed_by: str,
        changed_via: ChangedVia,
        scope: Scope = EVERY_PHONE,
        request_key: str | None = None,
        reason: str | None = None,
        grace: timedelta = NO_GRACE,
    ) -> Reset:
        """Generates a new pair for the phone and puts it in force, once per ``request_key``.

        During ``grace`` the old pair is valid too; without it, every older pair is dead from now on. A phone
        that is in a grace period already has not proved the pair that is replaced now: then it is the pair
        before that which stays valid.

        Raises :class:`NotFound` for a phone that does not exist or is out of ``scope``, :class:`Superseded`
        when a later reset has replaced the pair of this request, :class:`Unavailable` when DynamoDB did not
        answer: then the same request with the same key settles what happened.
        """
        phone_id = canonical_id(phone_id)
        change = self._new_change(changed_by, changed_via, grace, request_key, reason)
        phone, replayed = self._commit(phone_id, change, scope)
        return self._published(phone, changed_via, replayed=replayed)

    def rotate(self, phone_id: str, due_at: datetime) -> Reset:
        """Resets the phone because its date ``due_at`` has come.

        However often a date is acted upon, and by however many at once, the phone is rotated once for it.
        Raises :class:`NotDue` when it is not to be rotated now, and :class:`Unavailable`.
        """
        change = self._new_change("tend", "schedule", self.rotation_grace)
        due = Due(at=due_at, fleet_days=self.publisher.fleet_rotation_days)
        try:
            phone = phone_writes.commit(phone_id, change, due=due)
        except ConditionFailed:
            found = SipPhones.find(phone_id)
            # Our own attempt whose answer was lost.
            if found is None or found.credentials_id != change.credentials_id:
                raise NotDue(found) from None
            phone = found
        return self._published(phone, "schedule", replayed=False)

    def _new_change(
        self,
        changed_by: str,
        changed_via: ChangedVia,
        grace: timedelta,
        request_key: str | None = None,
        reason: str | None = None,
    ) -> Change:
        return Change(
            credentials=generate(),
            changed_at=self.clock(),
            changed_by=changed_by,
            changed_via=changed_via,
            request_key=request_key,
            reason=reason,
            grace=grace,
        )

    def _commit(self, phone_id: str, change: Change, scope: Scope) -> tuple[SipPhones, bool]:
        """The phone with the pair that answers this request, and whether an earlier request made it."""
        keep_previous = False
        for _ in range(_ATTEMPTS):
            try:
                return phone_writes.commit(phone_id, change, scope=scope, keep_previous=keep_previous), False
            except ConditionFailed:
                phone = SipPhones.find(phone_id)
            if phone is None or not scope.covers(phone.owners()):
                raise NotFound
            # The id of this very pair where an earlier attempt of ours succeeded and its answer was lost.
            answer = idempotency.answer(phone.requests(), change.request_digest, change.changed_at)
            if answer is None:
                if phone.recent_requests is None:
                    phone_writes.remember_requests(phone_id)
                keep_previous = phone.in_grace(change.changed_at)
                continue
            if answer != phone.credentials_id:
                raise Superseded
            return phone, answer != change.credentials_id
        raise Unavailable

    def _published(self, phone: SipPhones, via: ChangedVia, *, replayed: bool) -> Reset:
        publication = Publication.SETTLED  # the replay of a reset that was settled
        if phone.unsettled:
            try:
                publication = self.publisher.publish(phone, phone.credentials_id)
            except Exception:  # the pair is in force: whatever is wrong now, the caller gets it
                logger.exception("publication failed", sipPhoneId=phone.id)
                publication = Publication.REFUSED
        logger.info(
            "credentials reset",
            sipPhoneId=phone.id,
            credentialsId=phone.credentials_id,
            via=via,
            mirror=publication.value,
            replayed=replayed,
        )
        reset = Reset(phone, publication, replayed)
        count_reset(via, "replayed" if replayed else "reset", mirrored=reset.mirrored)
        return reset
