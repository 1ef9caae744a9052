"""Phones and callers for tests. Every id is fresh, so that tests share an engine and nothing else."""

import secrets
from datetime import timedelta
from typing import Any

import app
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.phones import SipPhones
from chalicelib.tokens import ApiTokens
from ops.importing import Result, import_phones
from ops.phone_records import Record, read_records


def new_phone_id() -> str:
    return secrets.token_hex(12).upper()


def new_owner() -> str:
    return secrets.token_hex(6)


def imported(**properties: Any) -> SipPhones:
    """A phone as an import leaves it: mirrored, announced, settled."""
    phone = {"_id": new_phone_id(), "customer": new_owner(), **properties}
    (result,) = import_phones(app.services(), [Record(1, phone)], by="test")
    assert not result.reason, result
    return stored(phone["_id"])


def delete_all_phones() -> None:
    """Empties the table, for tests that count what is in it."""
    with SipPhones.batch_write() as batch:
        for phone in SipPhones.scan(attributes_to_get=["_id"]):
            batch.delete(phone)


def import_lines(*lines: str) -> list[Result]:
    return list(import_phones(app.services(), read_records(lines), by="test"))


def empty_agenda() -> None:
    """Takes the phones of other tests off the agenda, so that a sweep finds a test's own."""
    for phone in SipPhones.scan(SipPhones.tend_at.exists()):
        phone.update(actions=[SipPhones.tend_at.remove(), SipPhones.unsettled.remove()])


def stored(phone_id: str) -> SipPhones:
    """The phone as the table has it."""
    phone = SipPhones.find(phone_id)
    assert phone is not None
    return phone


def pair_of(phone: SipPhones) -> tuple[str, str]:
    return phone.username, phone.password


def token(level: AccessLevel, **owner: Any) -> str:
    """The text of a fresh token."""
    now = app.services().clock()
    return tokens.issue(level, description="test", lifetime=timedelta(hours=1), now=now, **owner)


def bearer(level: AccessLevel, **owner: Any) -> dict[str, str]:
    """The header of a caller with a fresh token."""
    return {"Authorization": f"Bearer {token(level, **owner)}"}


def bearer_of(level: str, *, customer: str | None = None, reseller: str | None = None) -> dict[str, str]:
    """The header of a caller whose token has any level and owner, those included that nobody would issue."""
    header = admin()
    token = ApiTokens.get(header["Authorization"].split("_")[1])
    token.access_level, token.customer, token.reseller = level, customer, reseller
    token.save()
    return header


def admin() -> dict[str, str]:
    return bearer(AccessLevel.ADMIN)


def reset_path(phone_id: str) -> str:
    return f"/pbx/sipphone/{phone_id}/resetcredentials"
