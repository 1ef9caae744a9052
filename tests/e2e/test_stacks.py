"""`python -m ops.deploying`: what becomes of a stack and its tables. Stage prod, beside the stack of the other tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.access import AccessLevel
from ops.deploying import deploy, destroy
from ops.gateway import PROJECT
from ops.stacks import DeploymentFailed
from tests.e2e.conftest import Deployed, changed_copy
from tests.support.fleet import new_owner, new_phone_id, reset_path

pytestmark = pytest.mark.usefixtures("_on_ministack")

ARTIFACTS = "sip-credentials-artifacts-000000000000-eu-west-1"
TABLES = ["sip-credentials-prod-ApiTokens", "sip-credentials-prod-SipPhones"]
# What ministack does not know fails there, as anything can fail in AWS.
UNKNOWN = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [], "EvaluationPeriods": 1}}


def in_prod(deployed: Deployed, outputs: dict[str, str]) -> Deployed:
    return replace(deployed, outputs=outputs)


def program(*arguments: str, **environment: str | None) -> tuple[int, str]:
    """Exit status and output of the command; a variable that is None is unset."""
    inherited = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", "ops.deploying", *arguments],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={name: value for name, value in {**inherited, **environment}.items() if value is not None},
    )  # fmt: skip
    return done.returncode, done.stdout


def test_the_command_says_where_the_api_is_and_how_to_issue_the_first_token(
    deployed: Deployed, packaged: Callable[[str], Path]
) -> None:
    """The parameters that the stack was made with stay, so that there is nothing to change."""
    status, output = program("deploy", "--stage", "dev", "--folder", str(packaged("dev")), AWS_REGION="eu-west-1")
    lines = output.splitlines()
    assert (status, lines[0]) == (0, "nothing to change"), output
    assert lines[1] == f"The API is at {deployed.outputs['EndpointURL']}"
    assert lines[-1] == '  ./phones --stage dev tokens issue --level ADMIN --description "first token"'


def test_a_template_too_long_for_a_request_is_read_from_the_bucket(
    deployed: Deployed, packaged: Callable[[str], Path]
) -> None:
    """The service's own is too long, and the simulator refuses it in a request as CloudFormation does."""
    s3 = deployed.client("s3")
    for item in s3.list_objects_v2(Bucket=ARTIFACTS, Prefix="dev/")["Contents"]:
        if item["Key"].endswith(".json"):
            s3.delete_object(Bucket=ARTIFACTS, Key=item["Key"])
    said = list[str]()
    assert deploy("dev", packaged("dev"), {}, said.append) == deployed.outputs
    assert (said[0].startswith("uploading "), said[0].endswith(".json"), said[1:]) == (
        True,
        True,
        ["nothing to change"],
    )


def test_the_artefacts_are_private_versioned_and_encrypted(deployed: Deployed) -> None:
    s3, bucket = deployed.client("s3"), ARTIFACTS
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert [*blocked.values()] == [True] * 4
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_phones_and_tokens_outlive_failures_updates_and_the_stack_itself(
    deployed: Deployed, packaged: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, said = packaged("prod"), list[str]()

    broken = changed_copy(
        folder, tmp_path / "broken", lambda template: template["Resources"].update(Unknown=UNKNOWN)
    )
    with pytest.raises(
        DeploymentFailed, match=r"^Unknown \(AWS::CloudWatch::Alarm\) failed: .*ROLLBACK_COMPLETE$"
    ):
        deploy("prod", broken, {}, said.append)
    outputs = deploy("prod", folder, {}, said.append)
    assert "deleting what an earlier attempt left of sip-credentials-prod (ROLLBACK_COMPLETE)" in said
    assert f"adopting table {TABLES[1]}, which an earlier stack left behind" in said
    prod = in_prod(deployed, outputs)
    phone_id, customer = new_phone_id(), new_owner()
    prod.add_phones({"_id": phone_id, "customer": customer})
    token = prod.token(AccessLevel.OWNER, customer=customer)
    assert prod.api.request("POST", reset_path(phone_id), token).status == 200

    def enlarge(template: dict[str, Any]) -> None:
        template["Resources"]["APIHandler"]["Properties"]["MemorySize"] = 1769

    said.clear()
    larger = changed_copy(folder, tmp_path / "larger", enlarge)
    prod = in_prod(deployed, deploy("prod", larger, {"RotationDays": "30"}, said.append))
    assert "  UPDATE_COMPLETE sip-credentials-prod" in said
    function = prod.client("lambda").get_function_configuration(FunctionName=prod.outputs["APIHandlerName"])
    assert (function["MemorySize"], function["Environment"]["Variables"]["ROTATION_DAYS"]) == (1769, "30")
    before = prod.stored(phone_id)
    assert prod.api.request("POST", reset_path(phone_id), token).status == 200

    with pytest.raises(DeploymentFailed, match=r"^Unknown .*UPDATE_ROLLBACK_COMPLETE$"):
        deploy("prod", broken, {}, said.append)
    after = prod.stored(phone_id)
    assert after["credentialsId"] != before["credentialsId"]

    said.clear()
    assert sorted(destroy("prod", said.append)) == TABLES
    assert f"table {TABLES[1]} stays, with all it holds: the next deployment of prod adopts it" in said
    with pytest.raises(DeploymentFailed, match=r"^there is no stack sip-credentials-prod in eu-west-1"):
        destroy("prod", said.append)
    prod = in_prod(deployed, deploy("prod", folder, {}, said.append))
    assert prod.stored(phone_id) == after
    assert prod.api.request("POST", reset_path(phone_id), token).status == 200

    def unprotect(template: dict[str, Any]) -> None:
        template["Resources"]["ApiTokens"]["DeletionPolicy"] = "Delete"

    deploy("prod", changed_copy(folder, tmp_path / "unprotected", unprotect), {}, said.append)
    with pytest.raises(
        DeploymentFailed, match="would take ApiTokens with it: deploy it with DeletionPolicy Retain"
    ):
        destroy("prod", said.append)
    assert prod.stored(phone_id)


def test_destroying_wants_a_confirmation(deployed: Deployed) -> None:
    status, output = program("destroy", "--stage", "dev")
    assert (status, output.splitlines()[-1]) == (
        2,
        "Error: this deletes the stack sip-credentials-dev: confirm it with --yes",
    )
    assert deployed.client("cloudformation").describe_stacks(StackName="sip-credentials-dev")["Stacks"]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "Error: no AWS credentials: "),
        ({"AWS_REGION": None, "AWS_DEFAULT_REGION": None}, "Error: no AWS region: set AWS_REGION, "),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Error: AWS is not reachable: "),
        ({"AWS_REGION": "eu west"}, "Error: "),
        ({"AWS_PROFILE": "nobody"}, "Error: The config profile (nobody) could not be found; "),
        ({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "Error: AWS refuses the credentials: "),
    ],
)
def test_what_is_wrong_with_the_environment_is_said_in_one_line(
    packaged: Callable[[str], Path], environment: dict[str, str | None], complaint: str
) -> None:
    status, output = program("deploy", "--stage", "dev", "--folder", str(packaged("dev")), **environment)
    assert (status, output.count("\n")) == (1, 1), output
    assert output.startswith(complaint)


def test_a_missing_permission_is_said_in_one_line(deployed: Deployed, packaged: Callable[[str], Path]) -> None:
    iam = deployed.client("iam")
    iam.create_user(UserName="guest")
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    status, output = program(
        "deploy", "--stage", "dev", "--folder", str(packaged("dev")),
        AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
    )  # fmt: skip
    assert (status, output.count("\n")) == (1, 1), output
    assert output.startswith("Error: DescribeStacks is not allowed: ")


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--folder", "/nowhere"], 1, "Error: there is no /nowhere/sam.json: make the package first, "),
        (["--parameter", "Colour=red"], 1, "Error: the template has no parameter Colour; it has Stage, "),
        (["--parameter", "Colour"], 2, "Error: --parameter: expected NAME=VALUE, got 'Colour'"),
        (["--parameter", "RotationDays=-1"], 1, "Error: CreateChangeSet was refused (ValidationError): "),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_in_the_last_line(
    packaged: Callable[[str], Path], arguments: list[str], status: int, complaint: str
) -> None:
    folder = [] if "--folder" in arguments else ["--folder", str(packaged("dev"))]
    exit_status, output = program("deploy", "--stage", "dev", *arguments, *folder)
    assert exit_status == status, output
    assert output.splitlines()[-1].startswith(complaint), output


def test_the_template_that_was_deployed_names_its_tables_in_plain_text(deployed: Deployed) -> None:
    """As CloudFormation wants it from what it is to adopt."""
    template = deployed.client("cloudformation").get_template(
        StackName="sip-credentials-dev", TemplateStage="Original"
    )
    body = template["TemplateBody"]
    resources = (body if isinstance(body, dict) else json.loads(body))["Resources"]
    assert resources["SipPhones"]["Properties"]["TableName"] == "sip-credentials-dev-SipPhones"
