"""A local AWS behind a proxy that spoils answers: roto is the engine, microburst stands in front of it."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
import urllib3

import app
from chalicelib.announcements import Kind
from chalicelib.phones import SipPhones
from chalicelib.settings import Settings
from ops.local_aws import create_resources, free_port, port_is_taken, simulator
from tests.support.aws import forget_clients
from tests.support.fleet import pair_of

START_SECONDS = 20
# microburst draws from Python's generator and has no option to seed it.
SEEDED_PROXY = "import random, sys; random.seed(sys.argv.pop(1)); from microburst.cli import main; main()"

Rule = dict[str, Any]
_STOPPING = {"error", "reset", "timeout_ms"}
"""The effects of a rule that keep a request from the engine."""


class Proxy:
    """What the proxy does to requests. https://pypi.org/project/microburst/"""

    def __init__(self, url: str) -> None:
        self.url = url
        self._control = f"{url}/_microburst"

    @contextmanager
    def spoiling(self, *rules: Rule) -> Iterator[None]:
        """Meanwhile the first of ``rules`` that matches a request spoils it; afterwards all is well again."""
        before = self._counts()
        self.spoil(*rules)
        try:
            yield
        finally:
            stopped = sum(
                count for rule, count in zip(rules, self.spoilt(), strict=True) if rule.keys() & _STOPPING
            )
            self.spoil()
        if any("latency" in rule for rule in rules):
            self._wait_for_the_late(before, stopped)

    def spoil(self, *rules: Rule) -> None:
        """From now on the first of ``rules`` that matches a request spoils it; without rules none does."""
        answer = urllib3.request("POST", f"{self._control}/rules", body=json.dumps(rules))
        assert answer.status == 200, answer.data

    def spoilt(self) -> list[int]:
        """How many requests each of the present rules has spoilt so far."""
        rules = urllib3.request("GET", f"{self._control}/rules").json()
        return [rule["fired_count"] for rule in rules]

    def _wait_for_the_late(self, before: dict[str, int], stopped: int) -> None:
        """What the SDK gave up waiting for may still be on its way to the engine, for as long as it was delayed."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            now = self._counts()
            if now["relayed"] - before["relayed"] == now["total"] - before["total"] - stopped:
                return
            assert time.monotonic() < deadline, (before, now, stopped)
            time.sleep(0.02)

    def requests(self) -> int:
        """How many requests it has seen."""
        return self._counts()["total"]

    def _counts(self) -> dict[str, int]:
        stats = urllib3.request("GET", f"{self._control}/stats").json()
        return {**stats["requests"], "relayed": stats["upstream_latency_ms"]["n"]}


@dataclass
class Estate:
    """What there is to see of the phones past the proxy: items, secrets, and events in a queue."""

    engine: str
    _heard: dict[tuple[Kind, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        session: Any = botocore.session.get_session()
        self._dynamodb = session.create_client("dynamodb", endpoint_url=self.engine)
        self.secrets = session.create_client("secretsmanager", endpoint_url=self.engine)
        self._sqs = session.create_client("sqs", endpoint_url=self.engine)
        events = session.create_client("events", endpoint_url=self.engine)
        self._queue = self._sqs.create_queue(QueueName="announcements")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        bus = Settings.from_env().event_bus
        events.put_rule(Name="everything", EventBusName=bus, EventPattern='{"source": ["sipphone.credentials"]}')
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        assert not events.put_targets(Rule="everything", EventBusName=bus, Targets=[target])["FailedEntryCount"]

    def phone(self, phone_id: str) -> SipPhones | None:
        """The phone as the table has it."""
        answer = self._dynamodb.get_item(
            TableName=Settings.from_env().phones_table, Key={"_id": {"S": phone_id}}, ConsistentRead=True
        )
        return SipPhones.from_raw_data(answer["Item"]) if "Item" in answer else None

    def copy(self, phone_id: str) -> dict[str, Any]:
        """The current version of the phone's secret."""
        value = self.secrets.get_secret_value(SecretId=f"sip-phones/{phone_id}")
        copy: dict[str, Any] = json.loads(value["SecretString"])
        return copy

    def has_copy_of(self, phone: SipPhones) -> bool:
        """Whether the mirror has the pair in force, and under its owner's name."""
        copy = self.copy(phone.id)
        return (
            (copy["username"], copy["password"]) == pair_of(phone)
            and copy["credentialsId"] == phone.credentials_id
            and copy["customer"] == phone.customer
        )

    def listen(self) -> int:
        """Takes up to ten events out of the queue, and answers with how many there were."""
        messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            event = json.loads(message["Body"])
            detail = event["detail"]
            self._heard[Kind(event["detail-type"]), detail["sipPhoneId"]].add(detail["credentialsId"])
        if messages:
            taken = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=taken)
        return len(messages)

    def announced(self, phone_id: str, kind: Kind = Kind.RESET) -> set[str]:
        """The ids of the phone's pairs that were heard of so far."""
        return self._heard[kind, phone_id]

    def hears_of(self, phone: SipPhones, kind: Kind = Kind.RESET, *, within: float = 20) -> bool:
        """Whether the pair in force is announced, now or ``within`` so many seconds."""
        deadline = time.monotonic() + within
        while phone.credentials_id not in self.announced(phone.id, kind):
            if not self.listen() and time.monotonic() > deadline:
                return False
        return True


def present(phone: SipPhones | None) -> SipPhones:
    """The phone, which has to be in the table."""
    assert phone is not None
    return phone


@contextmanager
def spoilt_aws(folder: Path, *, seed: str = "") -> Iterator[tuple[Proxy, Estate]]:
    """Runs both, points the environment at the proxy and creates what the service needs. Logs go to ``folder``.

    What the proxy leaves to chance follows from ``seed``.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        simulator(free_port(), data=None, log=folder / "roto.log") as engine,
        (folder / "microburst.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", SEEDED_PROXY, seed, "--upstream", engine, "--port", str(port)],
            stdout=log, stderr=log,
        ) as proxy,
    ):  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            while not port_is_taken(port):
                assert proxy.poll() is None, f"see {folder}"
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.environ["AWS_ENDPOINT_URL"] = engine
            forget_clients()
            app.services()
            create_resources(Settings.from_env())
            estate = Estate(engine)
            forget_clients()
            os.environ["AWS_ENDPOINT_URL"] = url
            _warm_up()
            yield Proxy(url), estate
        finally:
            forget_clients()
            os.environ.pop("AWS_ENDPOINT_URL", None)
            proxy.terminate()


def _warm_up() -> None:
    """Makes the proxy load what it knows of each service, which can take longer than the SDK of the service waits."""
    session: Any = botocore.session.get_session()
    session.create_client("dynamodb").list_tables()
    session.create_client("secretsmanager").list_secrets()
    session.create_client("events").list_event_buses()
