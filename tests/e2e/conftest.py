"""The packaged service, deployed on ministack: once for all tests, which share it and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from chalicelib.access import AccessLevel
from ops.deploying import deploy
from ops.gateway import PROJECT
from ops.ministack import ministack
from ops.packaging import package
from tests.support.api import HttpApi
from tests.support.fleet import new_owner, new_phone_id

CUSTOMER, RESELLER = new_owner(), new_owner()


@dataclass(frozen=True)
class Deployed:
    """A stack that is up, and what tests do with it."""

    endpoint: str
    outputs: dict[str, str]
    log: Path

    def client(self, service: str) -> Any:
        session: Any = botocore.session.get_session()
        return session.create_client(service, endpoint_url=self.endpoint)

    @cached_property
    def api(self) -> HttpApi:
        return HttpApi(f"{self.endpoint}/restapis/{self.outputs['RestAPIId']}/v1/_user_request_")

    def operate(self, *arguments: str, given: str = "") -> str:
        """Runs ``./phones`` on the deployment and returns what it prints."""
        names = {"PHONES_TABLE": "PhonesTable", "TOKENS_TABLE": "TokensTable", "EVENT_BUS": "EventBus"}
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments], cwd=PROJECT, input=given, capture_output=True, text=True,
            env={
                **os.environ,
                "AWS_ENDPOINT_URL": self.endpoint,
                **{name: self.outputs[output] for name, output in names.items()},
            },
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def add_phones(self, *phones: dict[str, Any]) -> None:
        self.operate("import", "-", given="\n".join(json.dumps(phone) for phone in phones))

    def token(self, level: AccessLevel, **owner: str) -> dict[str, str]:
        """The header of a caller with a fresh token."""
        whose = [word for name, value in owner.items() for word in (f"--{name}", value)]
        return {
            "Authorization": "Bearer "
            + self.operate("tokens", "issue", "--level", level, "--description", "e2e", *whose)
        }

    def invoke(
        self, output: str, event: dict[str, Any], kind: str = "RequestResponse"
    ) -> tuple[dict[str, Any], Any]:
        """The answer to an invocation, and its payload."""
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs[output], InvocationType=kind, Payload=json.dumps(event)
        )
        return answer, json.loads(answer["Payload"].read() or "null")

    def stored(self, phone_id: str) -> dict[str, Any]:
        """The phone as the table has it."""
        item = self.client("dynamodb").get_item(
            TableName=self.outputs["PhonesTable"], Key={"_id": {"S": phone_id}}, ConsistentRead=True
        )
        phone: dict[str, Any] = item["Item"]
        return phone

    def mirrored(self, phone_id: str) -> dict[str, Any]:
        """The current copy of a phone's pair, with the id of its version."""
        value = self.client("secretsmanager").get_secret_value(SecretId=f"sip-phones/{phone_id}")
        return {**json.loads(value["SecretString"]), "versionId": value["VersionId"]}


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ministack writes, and with it every function."""
    return tmp_path_factory.mktemp("ministack") / "log"


@pytest.fixture(scope="session")
def endpoint(log: Path) -> Iterator[str]:
    with ministack(log) as url:
        yield url


@pytest.fixture
def _on_ministack(deployed: Deployed, due_phone_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test does in this process it does there; other tests name other simulators.

    From the first test on there is a phone whose date has come, so that the test of the schedule, the last one, has
    less of a minute to wait for.
    """
    assert due_phone_id
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.endpoint)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Packages of a stage, as `make package` makes them, without what ministack does not know."""
    made: dict[str, Path] = {}

    def packaged_for(stage: str) -> Path:
        if stage not in made:
            made[stage] = package(stage, tmp_path_factory.mktemp(stage) / "package")
            change(made[stage], _leave_out_metric_math)
        return made[stage]

    return packaged_for


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Edits the template of a package in place."""
    file = folder / "sam.json"
    template = json.loads(file.read_text())
    edit(template)
    file.write_text(json.dumps(template))
    return folder


def changed_copy(folder: Path, to: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(folder, to)
    return change(to, edit)


def _leave_out_metric_math(template: dict[str, Any]) -> None:
    """ministack 1.5.33: "AWS::CloudWatch::Alarm Properties.Metrics (metric math) is not supported"."""
    for name, resource in [*template["Resources"].items()]:
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            del template["Resources"][name]


@pytest.fixture(scope="session")
def deployed(endpoint: str, log: Path, packaged: Callable[[str], Path]) -> Iterator[Deployed]:
    """Stage dev, with sweeps every minute, the shortest period that EventBridge has."""
    folder = packaged("dev")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", endpoint)
        outputs = deploy("dev", folder, {"TendEvery": "rate(1 minute)"}, print)
    stack = Deployed(endpoint, outputs, log)
    _put_gateway_responses(stack, json.loads((folder / "sam.json").read_text()))
    yield stack
    stack.api.close()


def _put_gateway_responses(stack: Deployed, template: dict[str, Any]) -> None:
    """ministack 1.5.33 has gateway responses, but reads none from an API's definition. These are the template's."""
    api = stack.client("apigateway")
    rest_api = stack.outputs["RestAPIId"]
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    for kind, response in definition["x-amazon-apigateway-gateway-responses"].items():
        api.put_gateway_response(
            restApiId=rest_api, responseType=kind, **{**response, "statusCode": str(response["statusCode"])}
        )
    api.create_deployment(restApiId=rest_api, stageName="v1")


@pytest.fixture(scope="session")
def _phones(deployed: Deployed) -> list[str]:
    phones: list[dict[str, Any]] = [
        {"_id": new_phone_id(), "customer": CUSTOMER, "reseller": RESELLER, "notes": "e2e", "rotationDays": 30}
        for _ in range(40)
    ]
    deployed.add_phones(*phones)
    return [str(phone["_id"]) for phone in phones]


@pytest.fixture
def phone_id(_phones: list[str]) -> str:
    """A phone that no other test touches."""
    return _phones.pop()


@pytest.fixture(scope="session")
def owner(deployed: Deployed) -> dict[str, str]:
    return deployed.token(AccessLevel.OWNER, customer=CUSTOMER)


@pytest.fixture(scope="session")
def due_phone_id(deployed: Deployed) -> str:
    """A phone that is to be rotated every month, and whose date has come."""
    phone_id = new_phone_id()
    deployed.add_phones({"_id": phone_id, "customer": new_owner(), "rotationDays": 30})
    deployed.client("dynamodb").update_item(
        TableName=deployed.outputs["PhonesTable"],
        Key={"_id": {"S": phone_id}},
        UpdateExpression="SET tendAt = :past",
        ExpressionAttributeValues={":past": {"N": "1767225600"}},
    )
    return phone_id
