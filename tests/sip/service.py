"""The service as an operator has it: `make run`, phones in it, and what happens to them on its event bus."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import urllib3

import app
from chalicelib.credentials import Credentials
from chalicelib.settings import Settings
from ops.importing import import_phones
from ops.phone_records import Record
from tests.support.aws import forget_clients
from tests.support.fleet import new_phone_id, reset_path
from tests.support.program import running

GRACE_SECONDS = 45
"""Of a scheduled rotation: long enough for what is tried within it, and for its end to be seen."""
REALM = "sip-phones"
RESET_RULE = {"source": ["sipphone.credentials"], "detail-type": ["SIP Phone Credentials Reset"]}


Event = dict[str, Any]
"""An event as EventBridge delivers it."""


@dataclass(frozen=True, slots=True, repr=False)
class Service:
    """`make run`, and what its callers and an operator do with it."""

    url: str
    tokens: dict[str, str]

    @property
    def feed(self) -> str:
        """Where registrars ask, with the name and token that they present."""
        return self.url.replace("://", f"://kamailio:{self.tokens['REGISTRAR']}@")

    def add_phones(self, count: int, **properties: Any) -> list[str]:
        """The ids of new phones, which may be rotated by schedule."""
        phones = [
            {"_id": new_phone_id(), "customer": "sip", "rotationDays": 30, **properties} for _ in range(count)
        ]
        records = (Record(line, phone) for line, phone in enumerate(phones))
        for result in import_phones(app.services(), records, by="make sip"):
            assert not result.reason
            assert not result.pending
        return [str(phone["_id"]) for phone in phones]

    def pair(self, phone_id: str) -> Credentials:
        """The pair that a provisioning server gives the phone: the copy in Secrets Manager."""
        secret = json.loads(
            aws("secretsmanager").get_secret_value(SecretId=f"sip-phones/{phone_id}")["SecretString"]
        )
        return Credentials(secret["username"], secret["password"])

    def reset(self, phone_id: str, *, grace: int = 0) -> Credentials:
        """Resets the phone over HTTP, as a portal does."""
        answer = urllib3.request(
            "POST",
            f"{self.url}{reset_path(phone_id)}?grace={grace}",
            headers={"Authorization": f"Bearer {self.tokens['ADMIN']}"},
            timeout=30,
        )
        assert answer.status == 200, answer.status
        phone = answer.json()
        return Credentials(phone["username"], phone["password"])

    def plan(self, phone_ids: list[str], *, over_seconds: int) -> None:
        """Plans the rotation of phones, spread over a time from now on."""
        event = {"sipPhoneIds": phone_ids, "over": f"PT{over_seconds}S"}
        plan = app.schedule_rotation(event, _context())
        assert plan["phones"] == len(phone_ids), plan

    def rotate(self, phone_id: str) -> Credentials:
        """Has the phone rotated by schedule, and answers with its new pair."""
        old = self.pair(phone_id)
        self.plan([phone_id], over_seconds=1)
        while (new := self.pair(phone_id)).username == old.username:
            app.tend({}, _context())
        return new


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Runs the service on free ports. This process is its operator."""
    with running(folder, ROTATION_GRACE_SECONDS=str(GRACE_SECONDS), SIP_REALM=REALM) as running_service:
        run = running_service.run
        settings = {
            "AWS_ENDPOINT_URL": run["awsEndpointUrl"],
            "ROTATION_GRACE_SECONDS": str(GRACE_SECONDS),
            "SIP_REALM": REALM,
        }
        os.environ.update(settings)
        forget_clients()
        try:
            yield Service(run["apiUrl"], run["tokens"])
        finally:
            forget_clients()
            aws.cache_clear()
            for name in settings:
                del os.environ[name]


def _context() -> Any:
    return SimpleNamespace(aws_request_id=new_phone_id(), get_remaining_time_in_millis=lambda: 300_000)


@functools.cache
def aws(name: str) -> Any:
    """A plain client of the simulator that the environment names."""
    session: Any = botocore.session.get_session()
    return session.create_client(name)


class ResetEvents:
    """A queue that gets the announcements of resets from now on, as EventBridge delivers them."""

    def __init__(self) -> None:
        self._sqs, events = aws("sqs"), aws("events")
        queue = self._sqs.create_queue(QueueName="resets")
        self._url = queue["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        bus = Settings.from_env().event_bus
        events.put_rule(Name="resets", EventBusName=bus, EventPattern=json.dumps(RESET_RULE))
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        events.put_targets(Rule="resets", EventBusName=bus, Targets=[target])

    def handle(self, handler: Callable[[Event], object]) -> int:
        """Gives what has come to ``handler``, waiting for it a little; answers with how many events that were."""
        messages = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        received = messages.get("Messages", [])
        for message in received:
            handler(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return len(received)

    def last_of(self, phone_id: str) -> Event:
        """The last event of a phone that has come."""
        found: list[Event] = []
        while self.handle(found.append):
            pass
        return [event for event in found if event["detail"]["sipPhoneId"] == phone_id][-1]
