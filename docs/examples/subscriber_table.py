"""A Lambda function that keeps the table `subscriber` of Kamailio or OpenSIPS in step with the phones.

Its trigger is a rule for all events of the service. It copies nothing from an event: it asks the registrar feed
about every username that the event names, or that the table has of the phone. So events may come late, twice and
in any order. It needs a token of level REGISTRAR, sees no password, and does not wait for the copy in Secrets
Manager.

Environment: FEED_URL, the API's address; FEED_TOKEN; DATABASE, here the file of an SQLite database.
"""

import os
import sqlite3
from contextlib import closing
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import urllib3

http = urllib3.PoolManager()


def handler(event: dict[str, Any], _context: Any) -> None:
    """Brings the rows of the event's phone up to date. If it fails nothing is changed, and Lambda tries again."""
    detail = event["detail"]
    with closing(sqlite3.connect(os.environ["DATABASE"], isolation_level=None)) as database:
        # One at a time, the questions included: an older answer must not be written over a newer one.
        # MySQL: SELECT GET_LOCK('subscriber', 10), and START TRANSACTION
        database.execute("BEGIN IMMEDIATE")
        rows = database.execute("SELECT username FROM subscriber WHERE sip_phone_id = ?", (detail["sipPhoneId"],))
        usernames = {username for (username,) in rows} | {detail["username"], detail["previousUsername"]}
        for username in usernames - {None}:
            digest = ask(username)
            database.execute("DELETE FROM subscriber WHERE username = ?", (username,))
            if digest is not None:
                insert(database, digest)
        database.execute("COMMIT")


def ask(username: str) -> dict[str, Any] | None:
    """What the feed has of a username; None when no valid pair has it."""
    answer = http.request(
        "GET",
        f"{os.environ['FEED_URL']}/registrar/digest/{quote(username, safe='')}",
        headers={"Authorization": f"Bearer {os.environ['FEED_TOKEN']}"},
        timeout=10,
    )
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"the feed answered {answer.status}")
    digest: dict[str, Any] = answer.json()
    return digest


def insert(database: sqlite3.Connection, digest: dict[str, Any]) -> None:
    """Adds the row of a valid pair."""
    ha1, ha1b = digest["ha1"], digest["ha1b"]
    database.execute(
        "INSERT INTO subscriber (username, domain, sip_phone_id, ha1, ha1b, ha1_sha256, ha1_sha512t256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            digest["username"],
            digest["domain"],
            digest["sipPhoneId"],
            ha1["MD5"],
            ha1b["MD5"],
            ha1["SHA-256"],
            ha1["SHA-512-256"],
        ),
    )
