"""A Lambda function that has a phone told of its new credentials: it hands the event on to the phone's registrar.

Its trigger is a rule for "SIP Phone Credentials Reset". A phone that is told fetches its configuration at once.
The event does not wait for the copy in Secrets Manager, so this function does.
"""

import json
import os
import time
from http import HTTPStatus
from typing import Any

import boto3
import urllib3

secrets_manager = boto3.client("secretsmanager")
http = urllib3.PoolManager()

PATIENCE_SECONDS = 20


def handler(event: dict[str, Any], _context: Any) -> None:
    """Waits for the copy, then posts the event. When it fails, Lambda tries again."""
    wait_for_copy(event["detail"])
    answer = http.request(
        "POST",
        os.environ["REGISTRAR_EVENTS_URL"],
        body=json.dumps(event),
        headers={"Authorization": f"Bearer {os.environ['EVENTS_TOKEN']}", "Content-Type": "application/json"},
        timeout=10,
    )
    if answer.status != HTTPStatus.NO_CONTENT:
        raise RuntimeError(f"the registrar answered {answer.status}")


def wait_for_copy(detail: dict[str, Any]) -> None:
    """Returns when the phone's secret has the pair of the event, or a later one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while changed_at(detail["secretName"]) < detail["changedAt"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{detail['secretName']} does not have the pair {detail['credentialsId']} yet")
        time.sleep(0.5)


def changed_at(secret_name: str) -> str:
    """Since when the pair in the secret is in force."""
    secret = json.loads(secrets_manager.get_secret_value(SecretId=secret_name)["SecretString"])
    since: str = secret["changedAt"]
    return since
