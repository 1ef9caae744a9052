"""Puts the service together: clients, tables and use cases, from the settings."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config

from chalicelib.announcements import Announcements
from chalicelib.clock import Clock, utc_now
from chalicelib.dynamodb import bind
from chalicelib.mirror import Mirror
from chalicelib.phones import SipPhones
from chalicelib.resets import Resets
from chalicelib.settings import Settings
from chalicelib.telemetry import silence_sdk_debug_logs
from chalicelib.tokens import ApiTokens

_CONCURRENCY = 32

# A call that keeps failing is over after about seven seconds: two attempts of at most three, and the SDK's
# back-off. What it should have done then follows later. Without parameter validation a mistake of ours cannot
# put a secret into an exception's text.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    max_pool_connections=_CONCURRENCY,
    parameter_validation=False,
)


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases of one deployment, ready to be called."""

    resets: Resets
    clock: Clock


def connect(settings: Settings, clock: Clock = utc_now) -> Services:
    """Makes the clients; calls nothing yet. One is enough for a process: it is safe to share by threads."""
    bind(SipPhones, table=settings.phones_table, settings=settings)
    bind(ApiTokens, table=settings.tokens_table, settings=settings)
    session = botocore.session.get_session()

    def client(service: str) -> Any:  # the typed clients exist for the type checker only
        return session.create_client(service, region_name=settings.region, config=_CONFIG)

    mirror = Mirror(client("secretsmanager"), prefix=settings.secret_prefix, kms_key=settings.secret_kms_key)
    announcements = Announcements(client("events"), bus=settings.event_bus)
    silence_sdk_debug_logs()
    return Services(
        resets=Resets(
            mirror=mirror,
            announcements=announcements,
            background=ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="announce"),
            clock=clock,
            fleet_rotation_days=settings.rotation_days,
        ),
        clock=clock,
    )
