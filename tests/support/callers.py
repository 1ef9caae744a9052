"""The two ways to ask for a reset, and what is heard of it in one form."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import app
from chalicelib.credentials import new_id
from chalicelib.errors import ServiceError
from tests.support.api import Api
from tests.support.fleet import reset_path


@dataclass(frozen=True)
class Heard:
    """What became of a reset, as its caller hears it: a name of the contract, and with "ok" the pair."""

    name: str
    pair_id: str = ""
    pair: tuple[str, str] = ("", "")
    replayed: bool = False


def lambda_context() -> Any:
    """What Lambda tells a function of its invocation."""
    return SimpleNamespace(aws_request_id=new_id())


def ask_over_http(api: Api, method: str, phone_id: str, headers: Mapping[str, str], *, grace: int = 0) -> Heard:
    answer = api.request(method, f"{reset_path(phone_id)}?grace={grace}", headers)
    body = answer.json
    if answer.status != 200:
        return Heard(body["message"])
    pair = (body["username"], body["password"])
    return Heard("ok", answer.headers["credentials-id"], pair, "idempotent-replayed" in answer.headers)


def ask_by_invocation(phone_id: str, **asked: Any) -> Heard:
    asked = {"sipPhoneId": phone_id, "includeCredentials": True, **asked}
    try:
        output = app.reset_credentials(asked, lambda_context())
    except ServiceError as error:
        return Heard(error.message)
    pair = (output["phone"]["username"], output["phone"]["password"])
    return Heard("ok", output["credentialsId"], pair, output["replayed"])
