"""The service's settings: the only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between deployments. See `docs/data-schema.md` for what lives under each name."""

    region: str | None = None
    """AWS region; None leaves it to the SDK's own configuration."""
    phones_table: str = "SipPhones"
    tokens_table: str = "ApiTokens"
    event_bus: str = "sip-phones"
    secret_prefix: str = "sip-phones/"
    secret_kms_key: str | None = None
    """Id or ARN of the customer-managed key for new secrets; None means Secrets Manager's own key."""
    rotation_days: int = 0
    """Days between scheduled rotations of a phone that has no period of its own; 0 means never."""
    tend_rate_per_second: int = 40
    """Phones that a sweep tends in a second. Secrets Manager takes 50 writes a second in a region, all callers
    together, and cannot be made to take more: the rest is for resets on demand.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
    tend_workers: int = 8
    """Phones that a sweep tends at the same time."""
    rotation_grace_seconds: int = 24 * 60 * 60
    """How long the old pair stays valid after a scheduled rotation, unless the phone proves the new one before."""
    sip_realm: str = "sip-phones"
    """The realm of phones that have none of their own. ``{customer}`` in it stands for the phone's customer."""
    sip_domain: str | None = None
    """The domain of phones that have none of their own, like ``sip_realm``; None means the phone's realm."""
    digest_max_age: int = 0
    """Seconds that a registrar may keep an answer of the feed. What it keeps, a reset cannot take back."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Reads ``environ``; an unset or empty variable leaves the default.

        Raises ``ValueError`` with the variable's name when a number is not one.
        """
        default = cls()
        return cls(
            region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None,
            phones_table=environ.get("PHONES_TABLE") or default.phones_table,
            tokens_table=environ.get("TOKENS_TABLE") or default.tokens_table,
            event_bus=environ.get("EVENT_BUS") or default.event_bus,
            secret_prefix=environ.get("SECRET_PREFIX") or default.secret_prefix,
            secret_kms_key=environ.get("SECRET_KMS_KEY") or None,
            rotation_days=_number(environ, "ROTATION_DAYS", default.rotation_days, least=0),
            tend_rate_per_second=_number(environ, "TEND_RATE_PER_SECOND", default.tend_rate_per_second, least=1),
            tend_workers=_number(environ, "TEND_WORKERS", default.tend_workers, least=1),
            rotation_grace_seconds=_number(
                environ, "ROTATION_GRACE_SECONDS", default.rotation_grace_seconds, least=0
            ),
            sip_realm=environ.get("SIP_REALM") or default.sip_realm,
            sip_domain=environ.get("SIP_DOMAIN") or None,
            digest_max_age=_number(environ, "DIGEST_MAX_AGE", default.digest_max_age, least=0),
        )


def _number(environ: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(f"{name}: expected a whole number, at least {least}, got {text!r}")
    return int(text)
