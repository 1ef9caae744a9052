"""The example that keeps a registrar's own table in step, fed with the service's events in any order."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest

import app
from chalicelib.access import EVERY_PHONE, AccessLevel
from chalicelib.credentials import Algorithm, Credentials
from chalicelib.phones import SipPhones
from ops.gateway import PROJECT
from tests.support.api import http_api
from tests.support.aws import Wire
from tests.support.examples import example
from tests.support.fleet import imported, stored, token

EXAMPLES = PROJECT / "docs" / "examples"
REALM = "sip-phones"

# The table as Kamailio 5.6 makes it, and what the example needs beside it.
STOCK_TABLE = """
CREATE TABLE subscriber (
    id INTEGER PRIMARY KEY NOT NULL,
    username VARCHAR(64) DEFAULT '' NOT NULL,
    domain VARCHAR(64) DEFAULT '' NOT NULL,
    password VARCHAR(64) DEFAULT '' NOT NULL,
    ha1 VARCHAR(128) DEFAULT '' NOT NULL,
    ha1b VARCHAR(128) DEFAULT '' NOT NULL,
    CONSTRAINT subscriber_account_idx UNIQUE (username, domain)
);
"""

Event = dict[str, Any]
pytestmark = pytest.mark.engine("roto")  # the example asks over HTTP


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    file = tmp_path / "registrar.db"
    monkeypatch.setenv("DATABASE", str(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(STOCK_TABLE + (EXAMPLES / "subscriber.sql").read_text())
        yield connection


@pytest.fixture
def follow(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Event], None]]:
    """The example, as Lambda calls it."""
    assert database
    handler = example("subscriber_table").handler
    with http_api() as api:
        monkeypatch.setenv("FEED_URL", api.url)
        monkeypatch.setenv("FEED_TOKEN", token(AccessLevel.REGISTRAR))
        yield lambda event: handler(event, None)


@pytest.fixture
def events(wire: Wire) -> Iterator[list[Event]]:
    """The service's events, as EventBridge delivers them."""
    sent: list[Event] = []

    def look(request: AWSPreparedRequest) -> None:
        for entry in json.loads(cast(bytes, request.body))["Entries"]:
            detail = json.loads(entry["Detail"])
            sent.append({"source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail})

    with wire.watched("PutEvents", look):
        yield sent


def reset(phone_id: str, *, grace: int = 0) -> SipPhones:
    resets = app.services().resets
    return resets.reset(
        phone_id, scope=EVERY_PHONE, changed_by="test", changed_via="http", grace=timedelta(seconds=grace)
    ).phone


def rows(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    return {
        *database.execute(
            "SELECT username, domain, sip_phone_id, password, ha1, ha1b, ha1_sha256, ha1_sha512t256 FROM subscriber"
        )
    }


def row(phone: SipPhones) -> tuple[str, ...]:
    pair = Credentials(phone.username, phone.password)
    return (
        pair.username,
        REALM,
        phone.id,
        "",
        pair.ha1(Algorithm.MD5, realm=REALM),
        pair.ha1b(Algorithm.MD5, domain=REALM, realm=REALM),
        pair.ha1(Algorithm.SHA_256, realm=REALM),
        pair.ha1(Algorithm.SHA_512_256, realm=REALM),
    )


def test_a_new_phone_gets_a_row_with_every_hash_and_no_password(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event]
) -> None:
    phone = imported()
    follow(events[-1])
    assert rows(database) == {row(phone)}


def test_a_reset_replaces_the_row(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event]
) -> None:
    phone = imported()
    follow(events[-1])
    replaced = reset(phone.id)
    follow(events[-1])
    assert rows(database) == {row(replaced)}


def test_in_the_grace_period_both_pairs_have_a_row_until_the_new_one_is_adopted(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event]
) -> None:
    old = imported()
    new = reset(old.id, grace=60)
    follow(events[-1])
    assert rows(database) == {row(old), row(new)}
    app.services().registrar.registered(new.username, scope=EVERY_PHONE)
    assert events[-1]["detail-type"] == "SIP Phone Credentials Adopted"
    follow(events[-1])
    assert rows(database) == {row(new)}


def test_events_may_come_in_any_order_and_twice(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event]
) -> None:
    phone = imported()
    for grace in (60, 0, 60):
        reset(phone.id, grace=grace)
    last = stored(phone.id)
    before = Credentials(last.previous_username, last.previous_password)
    for order in itertools.permutations(events):
        for event in (*order, order[0]):
            follow(event)
        assert {name for name, *_ in rows(database)} == {last.username, before.username}
        database.execute("DELETE FROM subscriber")
        database.commit()


def test_rows_that_an_event_was_lost_for_go_with_the_next_one(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event]
) -> None:
    phone = imported()
    follow(events[-1])
    reset(phone.id)
    last = reset(phone.id)
    follow(events[-1])
    assert rows(database) == {row(last)}


def test_while_the_feed_fails_the_table_stays_as_it_is_and_lambda_hears_of_it(
    database: sqlite3.Connection, follow: Callable[[Event], None], events: list[Event], wire: Wire
) -> None:
    phone = imported()
    follow(events[-1])
    reset(phone.id)
    wire.refuse("Query", "InternalServerError", status=500, times=20)
    with pytest.raises(RuntimeError, match="503"):
        follow(events[-1])
    wire.mend()
    assert rows(database) == {row(phone)}


def test_phones_of_another_cluster_are_not_in_the_table(
    database: sqlite3.Connection,
    follow: Callable[[Event], None],
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported(pbxCluster=2)
    monkeypatch.setenv("FEED_TOKEN", token(AccessLevel.REGISTRAR, pbx_cluster=1))
    follow(events[-1])
    assert rows(database) == set()
