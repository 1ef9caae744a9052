"""The registrar feed: which digests a username is to be checked against, and the proof that a phone has moved.

Registrars ask by the username that a phone presents. Whether its pair is valid is read from the phone itself,
consistently: a pair that a reset has replaced is refused from the moment of the commit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib import grace
from chalicelib.access import Scope
from chalicelib.announcements import AnnouncementFailed
from chalicelib.clock import Clock
from chalicelib.credentials import Algorithm, Credentials
from chalicelib.dynamodb import ConditionFailed
from chalicelib.errors import NotFound, Unavailable
from chalicelib.phones import SipPhones
from chalicelib.publishing import Publisher

# The phone can change between the read and the write of an adoption. Three such turns do not happen by chance.
_ATTEMPTS = 3
_USERNAME = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True, repr=False)
class Digest:
    """What a registrar checks a username with. Its ``repr`` shows no hash.

    ``ha1`` and ``ha1b`` are lower-case hex by algorithm (:class:`~chalicelib.credentials.Algorithm`).
    """

    username: str
    realm: str
    domain: str
    credentials_id: str
    ha1: Mapping[Algorithm, str]
    ha1b: Mapping[Algorithm, str]
    valid_until: datetime | None
    """When an old pair in its grace period loses its validity; None for the pair in force."""
    adopted: bool | None
    """Whether a registration with the pair in force was reported already; None for an old pair."""
    phone: SipPhones


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was reported. ``adopted`` is False for an old pair in its grace period."""

    phone: SipPhones
    adopted: bool


@dataclass(frozen=True, slots=True)
class Registrar:
    """The use case, with what it works on. In ``realm`` and ``domain``, ``{customer}`` stands for the phone's."""

    publisher: Publisher
    clock: Clock
    realm: str
    domain: str | None

    def digest(self, username: str, *, scope: Scope, realm: str | None = None) -> Digest:
        """The digests of the valid pair with that username, of a phone in ``scope``.

        ``realm``, when given, must be the phone's realm or its domain. Raises
        :class:`~chalicelib.errors.NotFound`, :class:`~chalicelib.errors.Unavailable`.
        """
        phone = self._phone(username, scope)
        own_realm = self._of(phone, phone.realm, self.realm)
        own_domain = self._of(phone, phone.domain, self.domain or own_realm)
        if realm is not None and realm not in {own_realm, own_domain}:
            raise NotFound(_UNKNOWN)
        in_force = username == phone.username
        pair = Credentials(username, phone.password if in_force else phone.previous_password)
        return Digest(
            username=username,
            realm=own_realm,
            domain=own_domain,
            credentials_id=phone.credentials_id if in_force else phone.previous_credentials_id,
            ha1={algorithm: pair.ha1(algorithm, realm=own_realm) for algorithm in Algorithm},
            ha1b={algorithm: pair.ha1b(algorithm, domain=own_domain, realm=own_realm) for algorithm in Algorithm},
            valid_until=None if in_force else phone.previous_valid_until,
            adopted=phone.adopted_at is not None if in_force else None,
            phone=phone,
        )

    def registered(self, username: str, *, scope: Scope) -> Registration:
        """Takes note that a phone has registered with that username.

        With the pair in force that is the proof which ends a grace period: the old pair is dropped. It is
        announced once for each pair. Raises :class:`~chalicelib.errors.NotFound`; and
        :class:`~chalicelib.errors.Unavailable`, when the old pair stays until the next report or its own end.
        """
        for _ in range(_ATTEMPTS):
            phone = self._phone(username, scope)
            if username != phone.username:
                return Registration(phone, adopted=False)
            if phone.adopted_at is None and phone.has_pair:
                try:
                    grace.adopt(phone, self.publisher, now=self.clock())
                except ConditionFailed:
                    continue
                except AnnouncementFailed:
                    raise Unavailable from None
            return Registration(phone, adopted=True)
        raise Unavailable

    def _phone(self, username: str, scope: Scope) -> SipPhones:
        """The phone in ``scope`` which has a valid pair with that username."""
        phone = SipPhones.find_by_username(username) if _USERNAME.fullmatch(username) else None
        if phone is None or not scope.covers(phone.owners()):
            raise NotFound(_UNKNOWN)
        old_and_valid = username == phone.previous_username and phone.in_grace(self.clock())
        if username != phone.username and not old_and_valid:
            raise NotFound(_UNKNOWN)
        return phone

    @staticmethod
    def _of(phone: SipPhones, own: str | None, general: str) -> str:
        return own or general.replace("{customer}", phone.customer or "")


_UNKNOWN = "No valid credentials with that username"
