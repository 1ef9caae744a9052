"""API tokens: issue, verify, revoke.

A token reads ``sipcred_<16 hex digits: its id>_<64 hex digits: 256 random bits>``. The table has the SHA-256
of the random part only, so the text is shown once, when it is issued.
"""

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import Self

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute, UTCDateTimeAttribute
from pynamodb.models import Model

from chalicelib.access import AccessLevel, Caller
from chalicelib.dynamodb import ConditionFailed, Connection, translated_errors
from chalicelib.errors import Unauthorized

PREFIX = "sipcred"
_TOKEN = re.compile(PREFIX + r"_([0-9a-f]{16})_([0-9a-f]{64})")


class UnknownToken(Exception):
    """No token has that id."""


class ApiTokens(Model):
    """What is known of a token: whose it is and until when, never the token itself."""

    class Meta(Connection):
        table_name = "ApiTokens"

    id = UnicodeAttribute(attr_name="tokenId", hash_key=True)
    secret_hash = UnicodeAttribute(attr_name="secretHash")
    access_level = UnicodeAttribute(attr_name="accessLevel")
    customer = UnicodeAttribute(null=True)
    reseller = UnicodeAttribute(null=True)
    pbx_cluster = NumberAttribute(attr_name="pbxCluster", null=True)
    description = UnicodeAttribute()
    created_at = UTCDateTimeAttribute(attr_name="createdAt")
    # DynamoDB deletes expired items within days, not seconds: `verify` looks at the date itself.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
    expires_at = TTLAttribute(attr_name="expiresAt", null=True)
    revoked_at = UTCDateTimeAttribute(attr_name="revokedAt", null=True)

    def __repr__(self) -> str:
        return f"ApiTokens({self.id})"

    @classmethod
    def find(cls, token_id: str) -> Self | None:
        """The token ``token_id`` as it is now (a consistent read, so that a revocation counts), or None."""
        with translated_errors():
            try:
                return cls.get(token_id, consistent_read=True)
            except cls.DoesNotExist:
                return None


def issue(
    level: AccessLevel,
    *,
    customer: str | None = None,
    reseller: str | None = None,
    pbx_cluster: int | None = None,
    description: str,
    lifetime: timedelta | None,
    now: datetime,
) -> str:
    """Makes a token and answers with its text, which cannot be had again.

    ``lifetime`` None means that it never expires. Raises ``ValueError`` when the level needs an owner that is
    not given; :class:`~chalicelib.errors.Unavailable`.
    """
    if level in (AccessLevel.VIEWER, AccessLevel.MANAGER, AccessLevel.OWNER) and not customer:
        raise ValueError(f"a token of level {level} belongs to a customer: say which")
    if level is AccessLevel.RESELLER and not reseller:
        raise ValueError(f"a token of level {level} belongs to a reseller: say which")
    token_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    token = ApiTokens(
        token_id,
        secret_hash=_hash(secret),
        access_level=level.value,
        customer=customer,
        reseller=reseller,
        pbx_cluster=pbx_cluster,
        description=description,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    # The SDK repeats a write whose answer was lost.
    ours = ApiTokens.secret_hash == token.secret_hash
    with translated_errors():
        token.save(condition=ApiTokens.id.does_not_exist() | ours)
    return f"{PREFIX}_{token_id}_{secret}"


def presented(header: str) -> str:
    """The token in an ``Authorization`` header: after Bearer (RFC 6750, section 2.1), or as the password of Basic.

    Registrars speak Basic (RFC 7617, section 2); which user they say does not matter. Raises
    :class:`~chalicelib.errors.Unauthorized` for another scheme.
    """
    scheme, _, credentials = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            try:
                return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
            except ValueError:
                raise Unauthorized from None
        case _:
            raise Unauthorized


def verify(text: str, *, now: datetime) -> Caller:
    """The caller that a token speaks for.

    Raises :class:`~chalicelib.errors.Unauthorized` for a token that is malformed, unknown, expired or
    revoked, without saying which; :class:`~chalicelib.errors.Unavailable`.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise Unauthorized
    token_id, secret = match.groups()
    token = ApiTokens.find(token_id)
    # An unknown id takes as long as a wrong secret.
    expected = _NO_HASH if token is None else token.secret_hash
    matches = hmac.compare_digest(_hash(secret), expected)
    if token is None or not matches or token.revoked_at is not None:
        raise Unauthorized
    if token.expires_at is not None and token.expires_at <= now:
        raise Unauthorized
    return Caller(
        name=token.id,
        level=token.access_level,
        customer=token.customer,
        reseller=token.reseller,
        pbx_cluster=None if token.pbx_cluster is None else int(token.pbx_cluster),
    )


def revoke(token_id: str, *, now: datetime) -> None:
    """Makes a token worthless, once callers' cached authorizations have run out (60 seconds).

    Raises :class:`UnknownToken`; :class:`~chalicelib.errors.Unavailable`.
    """
    try:
        with translated_errors():
            ApiTokens(token_id).update(
                actions=[ApiTokens.revoked_at.set(ApiTokens.revoked_at | now)],
                condition=ApiTokens.id.exists(),
            )
    except ConditionFailed:
        raise UnknownToken(token_id) from None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_NO_HASH = _hash("")
