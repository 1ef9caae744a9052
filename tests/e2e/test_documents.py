"""The documents' commands of the AWS CLI, and their templates, on a deployment."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.gateway import PROJECT
from tests.e2e.conftest import Deployed
from tests.e2e.support import eventually
from tests.support import aws_cli
from tests.support.markdown import DOCUMENTS, blocks_of, script

pytestmark = pytest.mark.usefixtures("_on_ministack")

BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
ASKING = [block for block in BLOCKS if block.asks_aws]
PHONE = "5F0000000000000000000001"


@pytest.fixture(scope="module")
def phone_of_the_documents(deployed: Deployed) -> str:
    deployed.add_phones({"_id": PHONE, "customer": "5F00000000000000000000C1"})
    return PHONE


@pytest.fixture(scope="module")
def table_of_prod(deployed: Deployed) -> Iterator[str]:
    """A table to restore: stage prod is not deployed."""
    name = "sip-credentials-prod-SipPhones"
    tables = deployed.client("dynamodb")
    tables.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "_id", "AttributeType": "S"}],
    )
    tables.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    yield name
    for table in (name, f"{name}-restored"):
        tables.delete_table(TableName=table)


def run(deployed: Deployed, text: str) -> str:
    """What a script prints that a person types for that deployment."""
    done = subprocess.run(
        ["bash", "-c", text], cwd=PROJECT, capture_output=True, text=True, check=False,
        env={
            **os.environ,
            "PATH": f"{aws_cli.folder()}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": deployed.endpoint,
            "RESET_CREDENTIALS": deployed.outputs["ResetCredentialsArn"],
            "SCHEDULE_ROTATION": deployed.outputs["ScheduleRotationArn"],
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "document", sorted({block.document for block in ASKING}), ids=lambda document: document.name
)
def test_the_aws_commands_of_a_document_succeed_one_after_another(
    deployed: Deployed, phone_of_the_documents: str, table_of_prod: str, document: Path
) -> None:
    assert phone_of_the_documents
    assert table_of_prod
    said = run(deployed, script(block for block in ASKING if block.document == document))
    assert '"FunctionError"' not in said


def test_the_integration_guide_finds_the_address_of_the_api(deployed: Deployed) -> None:
    """Its paths start with a slash, and the output ends with one."""
    first = next(block for block in ASKING if block.document.name == "integration.md")
    address = run(deployed, script([first]) + 'echo "$API"').splitlines()[-1]
    assert f"{address}/" == deployed.outputs["EndpointURL"]


def test_the_integration_guides_consumer_gets_every_new_pair(deployed: Deployed, phone_id: str) -> None:
    (template,) = (
        block.text for block in BLOCKS if block.language == "yaml" and block.document.name == "integration.md"
    )
    stacks, logs = deployed.client("cloudformation"), deployed.client("logs")
    stacks.create_stack(
        StackName="consumer", TemplateBody=template, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    )
    eventually(
        lambda: stacks.describe_stacks(StackName="consumer")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    )
    function = stacks.describe_stack_resource(StackName="consumer", LogicalResourceId="Provision")
    group = f"/aws/lambda/{function['StackResourceDetail']['PhysicalResourceId']}"
    _, output = deployed.invoke("ResetCredentialsArn", {"sipPhoneId": phone_id})

    def said() -> bool:
        events = logs.filter_log_events(logGroupName=group)["events"] if logged(group) else []
        line = f"provisioning {phone_id} with {output['credentialsId']}"
        return any(line in event["message"] for event in events)

    def logged(name: str) -> bool:
        return bool(logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"])

    eventually(said, seconds=60)
