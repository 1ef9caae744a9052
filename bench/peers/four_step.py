"""A rotation function in four steps, as Secrets Manager drives it.

After the template of https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas, with the table as the
service that the pair is set in, and an event at the end. It is quicker than the template: the clients are made
once, and the pair is generated here and not by GetRandomPassword.
"""

import json
import secrets
from typing import Any

import boto3

from bench.peers.steps import announce, random_text

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

client = boto3.client("secretsmanager")
phones = boto3.resource("dynamodb").Table("SipPhones")


def rotate(phone_id: str) -> None:
    """What Secrets Manager does when the secret's date has come: four invocations with one token."""
    token = secrets.token_hex(16)
    for step in STEPS:
        handler({"SecretId": f"sip-phones/{phone_id}", "ClientRequestToken": token, "Step": step}, None)


def handler(event: dict[str, Any], _context: object) -> None:
    """Lambda's entry point: one step."""
    secret, token = event["SecretId"], event["ClientRequestToken"]
    versions = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if "AWSCURRENT" in versions.get(token, []):
        return
    match event["Step"]:
        case "createSecret":
            create_secret(secret, token)
        case "setSecret":
            set_secret(secret, token)
        case "testSecret":
            test_secret(secret, token)
        case "finishSecret":
            finish_secret(secret, token)
        case step:
            raise ValueError(f"unknown step {step}")


def create_secret(secret: str, token: str) -> None:
    """Puts a new pair into the secret as its pending version, unless it is there."""
    current = json.loads(client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["SecretString"])
    try:
        pending(secret, token)
    except client.exceptions.ResourceNotFoundException:
        pair = {"username": random_text(), "password": random_text(), "credentialsId": token}
        client.put_secret_value(
            SecretId=secret,
            ClientRequestToken=token,
            SecretString=json.dumps({**current, **pair}),
            VersionStages=["AWSPENDING"],
        )


def set_secret(secret: str, token: str) -> None:
    """Puts the pending pair in force."""
    pair = pending(secret, token)
    phones.update_item(
        Key={"_id": pair["sipPhoneId"]},
        UpdateExpression="SET username = :username, password = :password, credentialsId = :id",
        ConditionExpression="attribute_exists(username)",
        ExpressionAttributeValues={
            ":username": pair["username"],
            ":password": pair["password"],
            ":id": token,
        },
    )


def test_secret(secret: str, token: str) -> None:
    """Makes sure that the pending pair is in force."""
    pair = pending(secret, token)
    phone = phones.get_item(Key={"_id": pair["sipPhoneId"]}, ConsistentRead=True)["Item"]
    if (phone["username"], phone["password"]) != (pair["username"], pair["password"]):
        raise ValueError(f"{secret}: the pending pair is not in force")


def finish_secret(secret: str, token: str) -> None:
    """Makes the pending version the current one."""
    versions = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    current = next(version for version, stages in versions.items() if "AWSCURRENT" in stages)
    client.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
    )
    announce(secret.removeprefix("sip-phones/"), token)


def pending(secret: str, token: str) -> dict[str, Any]:
    """The pair of the pending version."""
    value = client.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
    pair: dict[str, Any] = json.loads(value["SecretString"])
    return pair
