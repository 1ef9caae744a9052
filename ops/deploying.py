"""Brings the packaged service to an AWS account, and takes it away again, through CloudFormation.

``python -m ops.deploying deploy --stage dev`` works on the account and region of the environment;
AWS_ENDPOINT_URL names another AWS. Exit status: 0 done, 1 something was refused or failed, 2 wrong usage.
"""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ops.artifacts import Artifacts
from ops.gateway import PROJECT
from ops.stacks import (
    DEAD,
    Aws,
    DeploymentFailed,
    Echo,
    Follower,
    delete,
    explained,
    reviewed,
)

SERVICE = "sip-credentials"
ARCHIVE = "deployment.zip"
TEMPLATE = "sam.json"
TEMPLATE_BYTES = 51_200
"""The longest template that a request may hold; a longer one is read from S3.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
FUNCTION = "AWS::Serverless::Function"
TABLE = "AWS::DynamoDB::Table"


def deploy(stage: str, folder: Path, parameters: Mapping[str, str], echo: Echo) -> dict[str, str]:
    """Creates or updates the stack of ``stage`` from the package in ``folder``; returns the stack's outputs.

    Parameters that are not given keep their values, or have their defaults in a new stack. Tables that an earlier
    stack left behind are adopted. Raises :class:`DeploymentFailed`.
    """
    template, archive = _package(folder)
    if "Stage" in template.get("Parameters", {}):
        parameters = {**parameters, "Stage": stage}
    with explained():
        aws = Aws.of_environment()
        name = stack_name(stage)
        stack = _ready(aws, name, echo)
        given = _parameters(template, parameters, stack)
        tables = _name_tables(template, parameters)
        adopted = [] if stack else [table for table in tables if aws.has_table(table)]
        for table in adopted:
            echo(f"adopting table {table}, which an earlier stack left behind")
        artifacts = Artifacts(aws, f"{SERVICE}-artifacts-{aws.account}-{aws.region}", echo)
        key = artifacts.put(stage, archive.read_bytes(), "zip")
        for function in _resources(template, FUNCTION).values():
            function["Properties"]["CodeUri"] = {"Bucket": artifacts.bucket, "Key": key}
        change_set = aws.cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"deploy-{time.time_ns()}",
            ChangeSetType="UPDATE" if stack else "CREATE",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=given,
            ImportExistingResources=bool(adopted),
            **_template_argument(artifacts, stage, template),
        )
        follower = Follower(aws, change_set["StackId"], name, echo)
        changes = False
        try:
            changes = reviewed(aws, change_set["Id"], echo)
        finally:
            if not changes:
                _discard(aws, change_set, new=stack is None)
        if changes:
            aws.cloudformation.execute_change_set(ChangeSetName=change_set["Id"])
            follower.until_done()
        else:
            echo("nothing to change")
        outputs = (aws.stack(name) or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def destroy(stage: str, echo: Echo) -> list[str]:
    """Deletes the stack of ``stage``; returns the tables that stay. Raises :class:`DeploymentFailed`."""
    with explained():
        aws = Aws.of_environment()
        name = stack_name(stage)
        stack = aws.stack(name)
        if stack is None:
            raise DeploymentFailed(f"there is no stack {name} in {aws.region} of account {aws.account}")
        template = aws.cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
        tables = _resources(template, TABLE)
        lost = sorted(table for table in tables if tables[table].get("DeletionPolicy") != "Retain")
        if stage == "prod" and lost:
            raise DeploymentFailed(
                f"{name} is not deleted, because it would take {', '.join(lost)} with it: "
                "deploy it with DeletionPolicy Retain first"
            )
        pages = aws.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        kept = [
            resource["PhysicalResourceId"]
            for resource in resources
            if resource["LogicalResourceId"] in tables.keys() - {*lost}
        ]
        delete(aws, stack["StackId"], name, echo)
        for table in kept:
            echo(f"table {table} stays, with all it holds: the next deployment of {stage} adopts it")
        echo("the phones' secrets in Secrets Manager stay, and the bucket of artefacts")
        return kept


def stack_name(stage: str) -> str:
    """The name of a stage's stack."""
    return f"{SERVICE}-{stage}"


def _package(folder: Path) -> tuple[dict[str, Any], Path]:
    archive = folder / ARCHIVE
    try:
        template: dict[str, Any] = json.loads((folder / TEMPLATE).read_text())
        archive.stat()
    except FileNotFoundError as error:
        raise DeploymentFailed(
            f"there is no {error.filename}: make the package first, with `make package`"
        ) from None
    except ValueError as error:
        raise DeploymentFailed(f"{folder / TEMPLATE} is not JSON: {error}; make the package again") from None
    return template, archive


def _resources(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


def _ready(aws: Aws, name: str, echo: Echo) -> dict[str, Any] | None:
    """The stack when it can be updated, None when it can be created."""
    stack = aws.stack(name)
    if stack is None:
        return None
    status = stack["StackStatus"]
    if status in DEAD:
        echo(f"deleting what an earlier attempt left of {name} ({status})")
        delete(aws, stack["StackId"], name, echo)
        return None
    if status.endswith("_IN_PROGRESS"):
        raise DeploymentFailed(f"{name} is being changed by somebody else ({status}): wait until that has ended")
    if status == "DELETE_FAILED":
        raise DeploymentFailed(f"{name} is only half deleted: go on with `python -m ops.deploying destroy`")
    if status.endswith("_FAILED"):
        raise DeploymentFailed(
            f"{name} is {status}: mend it with `aws cloudformation continue-update-rollback --stack-name {name}`"
        )
    return stack


def _parameters(
    template: Mapping[str, Any], parameters: Mapping[str, str], stack: dict[str, Any] | None
) -> list[dict[str, Any]]:
    declared = template.get("Parameters", {})
    if unknown := parameters.keys() - declared.keys():
        raise DeploymentFailed(
            f"the template has no parameter {', '.join(sorted(unknown))}; it has {', '.join(declared) or 'none'}"
        )
    former = {parameter["ParameterKey"] for parameter in (stack or {}).get("Parameters", [])}
    kept = [name for name in declared if name in former and name not in parameters]
    return [
        *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
        *({"ParameterKey": name, "UsePreviousValue": True} for name in kept),
    ]


def _name_tables(template: Mapping[str, Any], parameters: Mapping[str, str]) -> list[str]:
    """Writes the names of retained tables out, and returns them.

    CloudFormation adopts only what has a literal name and would not be deleted with the stack.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    names = []
    for table in _resources(template, TABLE).values():
        name = table.get("Properties", {}).get("TableName")
        if isinstance(name, dict) and isinstance(text := name.get("Fn::Sub"), str):
            name = re.sub(r"\$\{(\w+)}", lambda match: parameters.get(match[1], match[0]), text)
        if isinstance(name, str) and "${" not in name and table.get("DeletionPolicy") == "Retain":
            table["Properties"]["TableName"] = name
            names.append(name)
    return names


def _template_argument(artifacts: Artifacts, stage: str, template: Mapping[str, Any]) -> dict[str, str]:
    text = json.dumps(template, separators=(",", ":"))
    if len(text.encode()) <= TEMPLATE_BYTES:
        return {"TemplateBody": text}
    return {"TemplateURL": artifacts.url(artifacts.put(stage, text.encode(), "json"))}


def _discard(aws: Aws, change_set: Mapping[str, str], *, new: bool) -> None:
    """Takes back a change set that is not executed, and the empty stack that it made."""
    if new:
        aws.cloudformation.delete_stack(StackName=change_set["StackId"])
    else:
        aws.cloudformation.delete_change_set(ChangeSetName=change_set["Id"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Deploy the service to the AWS account and region of the environment, or take it away."""


STAGE = click.option("--stage", type=click.Choice(["dev", "prod"]), required=True, help="Which deployment.")


@main.command("deploy")
@STAGE
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="The package, with sam.json and deployment.zip.  [default: build/STAGE]",
)
@click.option("--parameter", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the template.")
def deploy_(stage: str, folder: Path | None, given: tuple[str, ...]) -> None:
    """Create the stack, or bring it up to date."""
    parameters = dict(text.partition("=")[::2] for text in given)
    if wrong := [text for text in given if "=" not in text]:
        raise click.UsageError(f"--parameter: expected NAME=VALUE, got {wrong[0]!r}")
    with _telling("Deploying") as echo:
        outputs = deploy(stage, folder or PROJECT / "build" / stage, parameters, echo)
    click.echo(f"The API is at {outputs.get('EndpointURL', 'no address that the stack would tell')}")
    click.echo("Issue the first token:\n")
    click.echo(f'  ./phones --stage {stage} tokens issue --level ADMIN --description "first token"')


@main.command("destroy")
@STAGE
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy_(stage: str, yes: bool) -> None:
    """Delete the stack. Its tables stay."""
    name = stack_name(stage)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"this deletes the stack {name}: confirm it with --yes")
        if click.prompt(f"This deletes the stack {name}. Type its name to go on", default="") != name:
            raise click.ClickException("nothing was deleted: that is not the stack's name")
    with _telling("Deleting") as echo:
        destroy(stage, echo)


@contextmanager
def _telling(what: str) -> Iterator[Echo]:
    """Plain lines; on a terminal also a sign of life below them. A failure is one line, exit status 1."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        if console.is_terminal:
            with console.status(what):
                yield console.print
        else:
            yield click.echo
    except DeploymentFailed as failure:
        raise click.ClickException(str(failure)) from failure


if __name__ == "__main__":
    main()
