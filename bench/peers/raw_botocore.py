"""The calls of this service's reset, with bare clients and nothing around them: the floor for processor time."""

import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import botocore.session

CUSTOMER = "5F00000000000000000000C1"
TOLD = (
    "customer", "reseller", "extension", "macAddress", "sipPhoneModel", "username", "previousUsername",
    "credentialsId", "changedBy", "changedVia",
)  # fmt: skip

session = botocore.session.get_session()
dynamodb: Any = session.create_client("dynamodb")
secrets_manager: Any = session.create_client("secretsmanager")
events: Any = session.create_client("events")


def reset(phone_id: str) -> None:
    """Commit, copy, announce and settle."""
    now = time.time()
    changed_at = datetime.fromtimestamp(now, UTC)
    credentials_id = secrets.token_hex(16)
    request = secrets.token_hex(16)
    username, password = secrets.token_hex(16), secrets.token_hex(16)
    phone = dynamodb.update_item(
        TableName="SipPhones",
        Key={"_id": {"S": phone_id}},
        UpdateExpression=(
            "SET previousUsername = if_not_exists(username, :username), username = :username,"
            " password = :password, credentialsId = :id, credentialsChangedAt = :at, changedBy = :by,"
            " changedVia = :via, tendShard = :shard, tendAt = :soon, recentRequests.#request = :entry"
            " REMOVE previousPassword, previousCredentialsId, previousValidUntil, changeReason, adoptedAt,"
            " plannedRotation, tendFailures ADD unsettled :ids"
        ),
        ConditionExpression=(
            "attribute_exists(#id) AND customer = :customer AND attribute_exists(recentRequests)"
            " AND (attribute_not_exists(recentRequests.#request) OR recentRequests.#request.#at < :yesterday)"
        ),
        ExpressionAttributeNames={"#id": "_id", "#request": request, "#at": "at"},
        ExpressionAttributeValues={
            ":username": {"S": username},
            ":password": {"S": password},
            ":id": {"S": credentials_id},
            ":at": {"S": changed_at.strftime("%Y-%m-%dT%H:%M:%S.%f%z")},
            ":by": {"S": "raw"},
            ":via": {"S": "http"},
            ":shard": {"N": str(crc32(phone_id.encode()) % 16)},
            ":soon": {"N": str(int(now) + 120)},
            ":entry": {"M": {"id": {"S": credentials_id}, "at": {"N": str(int(now * 1000))}}},
            ":ids": {"SS": [credentials_id]},
            ":customer": {"S": CUSTOMER},
            ":yesterday": {"N": str(int(now * 1000) - 86_400_000)},
        },
        ReturnValues="ALL_NEW",
    )["Attributes"]
    secret = f"sip-phones/{phone_id}"
    copy = {"username": username, "password": password, "sipPhoneId": phone_id, "customer": CUSTOMER}
    arn = secrets_manager.put_secret_value(
        SecretId=secret,
        SecretString=json.dumps({**copy, "credentialsId": credentials_id, "changedAt": changed_at.isoformat()}),
        ClientRequestToken=credentials_id,
    )["ARN"]
    detail = {name: phone[name]["S"] for name in TOLD if name in phone}
    events.put_events(
        Entries=[
            {
                "EventBusName": "sip-phones",
                "Source": "sipphone.credentials",
                "DetailType": "SIP Phone Credentials Reset",
                "Detail": json.dumps({**detail, "sipPhoneId": phone_id, "secretName": secret}),
                "Time": changed_at,
            }
        ]
    )
    dynamodb.update_item(
        TableName="SipPhones",
        Key={"_id": {"S": phone_id}},
        UpdateExpression=(
            "SET tendAt = :due, secretArn = :arn, secretVersionId = :id REMOVE tendFailures DELETE unsettled :ids"
        ),
        ConditionExpression=(
            "credentialsId = :id AND unsettled = :ids AND attribute_not_exists(previousValidUntil)"
        ),
        ExpressionAttributeValues={
            ":due": {"N": str(int(now) + 90 * 86_400)},
            ":arn": {"S": arn},
            ":id": {"S": credentials_id},
            ":ids": {"SS": [credentials_id]},
        },
    )
