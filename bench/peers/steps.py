"""The reset of the web frameworks' peers, with boto3: read, check, write, copy, announce, one after another."""

import json
import secrets
import string
from datetime import UTC, datetime
from typing import Any

import boto3

ALPHABET = string.ascii_lowercase + string.digits

phones = boto3.resource("dynamodb").Table("SipPhones")
secrets_manager = boto3.client("secretsmanager")
events = boto3.client("events")


class UnknownPhone(Exception):
    """The customer has no such phone."""


def reset(phone_id: str, customer: str) -> dict[str, Any]:
    """Gives the customer's phone a new pair and returns its item. Raises :class:`UnknownPhone`."""
    phone = phones.get_item(Key={"_id": phone_id}).get("Item")
    if phone is None or phone["customer"] != customer:
        raise UnknownPhone
    phone["username"] = random_text()
    phone["password"] = random_text()
    phone["credentialsId"] = secrets.token_hex(16)
    phone["credentialsChangedAt"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f%z")
    phones.put_item(Item=phone)
    copy = {name: phone[name] for name in ("username", "password", "customer", "credentialsId")}
    secrets_manager.put_secret_value(
        SecretId=f"sip-phones/{phone_id}",
        SecretString=json.dumps({**copy, "sipPhoneId": phone_id}),
        ClientRequestToken=phone["credentialsId"],
    )
    announce(phone_id, phone["credentialsId"])
    return dict(phone)


def announce(phone_id: str, credentials_id: str) -> None:
    """Puts the event of a reset on the bus."""
    events.put_events(
        Entries=[
            {
                "EventBusName": "sip-phones",
                "Source": "sipphone.credentials",
                "DetailType": "SIP Phone Credentials Reset",
                "Detail": json.dumps({"sipPhoneId": phone_id, "credentialsId": credentials_id}),
            }
        ]
    )


def random_text() -> str:
    """A username or a password: 32 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(32))
