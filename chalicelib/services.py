"""Puts the service together: clients, tables and use cases, from the settings."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import botocore.session

from chalicelib.announcements import Announcements
from chalicelib.aws import CONCURRENCY, client
from chalicelib.clock import Clock, utc_now
from chalicelib.dynamodb import bind
from chalicelib.mirror import Mirror
from chalicelib.phones import SipPhones
from chalicelib.planning import Planning
from chalicelib.publishing import Publisher
from chalicelib.registrar import Registrar
from chalicelib.resets import Resets
from chalicelib.settings import Settings
from chalicelib.telemetry import silence_sdk_debug_logs
from chalicelib.tending import Tending
from chalicelib.tokens import ApiTokens


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases of one deployment, ready to be called."""

    resets: Resets
    tending: Tending
    planning: Planning
    registrar: Registrar
    digest_max_age: timedelta
    """How long a registrar may keep a digest."""
    publisher: Publisher
    clock: Clock


def connect(settings: Settings, clock: Clock = utc_now) -> Services:
    """Makes the clients; calls nothing yet. One is enough for a process: it is safe to share by threads."""
    bind(SipPhones, table=settings.phones_table, settings=settings)
    bind(ApiTokens, table=settings.tokens_table, settings=settings)
    session = botocore.session.get_session()
    publisher = Publisher(
        mirror=Mirror(
            client(session, "secretsmanager", settings.region),
            prefix=settings.secret_prefix,
            kms_key=settings.secret_kms_key,
        ),
        announcements=Announcements(client(session, "events", settings.region), bus=settings.event_bus),
        background=ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="announce"),
        clock=clock,
        fleet_rotation_days=settings.rotation_days,
    )
    silence_sdk_debug_logs()
    resets = Resets(publisher, clock, timedelta(seconds=settings.rotation_grace_seconds))
    return Services(
        resets=resets,
        tending=Tending(
            resets, publisher, clock, rate=settings.tend_rate_per_second, workers=settings.tend_workers
        ),
        planning=Planning(clock, fleet_rotation_days=settings.rotation_days),
        registrar=Registrar(publisher, clock, realm=settings.sip_realm, domain=settings.sip_domain),
        digest_max_age=timedelta(seconds=settings.digest_max_age),
        publisher=publisher,
        clock=clock,
    )
