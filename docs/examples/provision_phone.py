"""A Lambda function that gets a phone's new credentials by the ARN and version of their secret."""

import json
from typing import Any

import boto3

secrets_manager = boto3.client("secretsmanager")


def handler(event: dict[str, str], _context: Any) -> dict[str, str]:
    """Reads the pair and provisions the phone with it. Answers no secret: answers end up in histories."""
    secret = secrets_manager.get_secret_value(SecretId=event["secretArn"], VersionId=event["secretVersionId"])
    pair = json.loads(secret["SecretString"])
    provision(event["sipPhoneId"], pair["username"], pair["password"])
    return {"sipPhoneId": event["sipPhoneId"], "secretVersionId": secret["VersionId"]}


def provision(phone_id: str, username: str, password: str) -> None:
    """Here your provisioning server gets the pair."""
