"""The fewest calls that make a pair durable in table and secret, with bare clients: the floor for latency."""

import json
import secrets
from typing import Any

import botocore.session

session = botocore.session.get_session()
dynamodb: Any = session.create_client("dynamodb")
secrets_manager: Any = session.create_client("secretsmanager")


def reset(phone_id: str) -> None:
    """Writes a new pair to the table, then to the secret."""
    username, password = secrets.token_hex(16), secrets.token_hex(16)
    dynamodb.update_item(
        TableName="SipPhones",
        Key={"_id": {"S": phone_id}},
        UpdateExpression="SET username = :username, password = :password",
        ConditionExpression="attribute_exists(username)",
        ExpressionAttributeValues={":username": {"S": username}, ":password": {"S": password}},
    )
    secrets_manager.put_secret_value(
        SecretId=f"sip-phones/{phone_id}",
        SecretString=json.dumps({"username": username, "password": password}),
    )
