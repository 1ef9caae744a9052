"""The reset of a phone's credentials: commit, publish, settle.

``commit`` puts a new pair in force with one conditional write; from then on the reset has succeeded.
``publish`` copies the pair to Secrets Manager and announces it; ``settle`` records that this is done. When
one of the two fails, the phone stays on the agenda and the copies follow later.
"""

from concurrent.futures import Executor
from dataclasses import dataclass

from chalicelib.access import Scope
from chalicelib.announcements import Announcement, AnnouncementFailed, Announcements, ChangedVia
from chalicelib.clock import Clock
from chalicelib.credentials import Credentials, generate
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import NotFound, Superseded, Unavailable
from chalicelib.mirror import Copy, Mirror, MirrorUnavailable
from chalicelib.phones import Change, SipPhones, canonical_id
from chalicelib.rotation import next_rotation
from chalicelib.telemetry import logger

# A clause that failed can hold again at the next attempt, for instance when the phone changed hands or a key
# grew too old in between. Three such turns in one request do not happen by chance.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset that succeeded: the phone with the pair in force."""

    phone: SipPhones
    mirrored: bool
    """The mirror has the pair and the announcement is out; otherwise they follow."""
    replayed: bool
    """An earlier request with the same idempotency key had made this reset already."""


@dataclass(frozen=True, slots=True)
class Resets:
    """The use case, with what it works on. ``background`` runs the announcement beside the mirror's write."""

    mirror: Mirror
    announcements: Announcements
    background: Executor
    clock: Clock
    fleet_rotation_days: int

    def reset(
        self,
        phone_id: str,
        *,
        scope: Scope,
        changed_by: str,
        changed_via: ChangedVia,
        request_key: str | None = None,
    ) -> Reset:
        """Generates a new pair for the phone and puts it in force, once per ``request_key``.

        Raises :class:`NotFound` for a phone that does not exist or is out of ``scope``, :class:`Superseded`
        when a later reset has replaced the pair of this request, :class:`Unavailable` when DynamoDB did not
        answer: then the same request with the same key settles what happened.
        """
        phone_id = canonical_id(phone_id)
        change = Change(
            credentials=generate(),
            changed_at=self.clock(),
            changed_by=changed_by,
            changed_via=changed_via,
            request_key=request_key,
        )
        phone, replayed = self._commit(phone_id, change, scope)
        mirrored = self.publish(phone, token=phone.credentials_id) if phone.unsettled else True
        logger.info(
            "credentials reset",
            sipPhoneId=phone.id,
            credentialsId=phone.credentials_id,
            changedVia=changed_via,
            mirrored=mirrored,
            replayed=replayed,
        )
        return Reset(phone=phone, mirrored=mirrored, replayed=replayed)

    def _commit(self, phone_id: str, change: Change, scope: Scope) -> tuple[SipPhones, bool]:
        """The phone with the pair that answers this request, and whether an earlier request made it."""
        for _ in range(_ATTEMPTS):
            try:
                return SipPhones.commit(phone_id, change, scope), False
            except ConditionFailed:
                phone = SipPhones.find(phone_id)
            if phone is None or not scope.covers(customer=phone.customer, reseller=phone.reseller):
                raise NotFound
            answer = phone.answer_to(change)
            if answer is None:
                SipPhones.remember_requests(phone_id)
                continue
            if answer != phone.credentials_id:
                raise Superseded
            return phone, answer != change.credentials_id
        raise Unavailable

    def publish(self, phone: SipPhones, *, token: str, is_new: bool = False) -> bool:
        """Copies the pair in force to the mirror and announces it, both at once, then settles.

        ``token`` is the publication's entry in the phone's ``unsettled`` and becomes the secret's version id.
        True when everything is done and no other publication can still be under way.
        """
        announced = self.background.submit(self._announce, phone)
        copied = self._copy(phone, token=token, is_new=is_new)
        if not (announced.result() and copied):
            return False
        return self.settle(phone, token=token)

    def _announce(self, phone: SipPhones) -> bool:
        announcement = Announcement(
            phone_id=phone.id,
            customer=phone.customer,
            reseller=phone.reseller,
            credentials_id=phone.credentials_id,
            changed_at=phone.credentials_changed_at,
            changed_via=phone.changed_via,
            changed_by=phone.changed_by,
            secret_name=self.mirror.secret_name(phone.id),
        )
        try:
            self.announcements.announce(announcement)
        except AnnouncementFailed as failure:
            logger.warning("announcement failed", sipPhoneId=phone.id, error=str(failure))
            return False
        return True

    def _copy(self, phone: SipPhones, *, token: str, is_new: bool) -> bool:
        copy = Copy(
            phone_id=phone.id,
            customer=phone.customer,
            credentials=Credentials(phone.username, phone.password),
            credentials_id=phone.credentials_id,
            changed_at=phone.credentials_changed_at,
        )
        try:
            self.mirror.put(copy, token=token, is_new=is_new)
        except MirrorUnavailable as failure:
            logger.warning("mirror unavailable", sipPhoneId=phone.id, error=str(failure))
            return False
        return True

    def settle(self, phone: SipPhones, *, token: str) -> bool:
        """Records that ``token`` is complete and when the phone is next due. False when that has to wait."""
        due = next_rotation(
            changed_at=phone.credentials_changed_at,
            credentials_id=phone.credentials_id,
            days=phone.rotation_period(self.fleet_rotation_days),
        )
        try:
            return phone.settle(token, next_rotation=due, now=self.clock())
        except Unavailable:
            logger.warning("settling failed", sipPhoneId=phone.id)
            return False
