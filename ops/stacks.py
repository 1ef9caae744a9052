"""CloudFormation's stacks: reviewing a change set, following what happens, and what errors mean for a person."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnection

from chalicelib.settings import Settings

Echo = Callable[[str], None]

STACK = "AWS::CloudFormation::Stack"
DEAD = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
"""A stack that never was complete: it can only be deleted."""
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
LONGEST_PAUSE_SECONDS = 3.0


class DeploymentFailed(Exception):
    """What went wrong, and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Aws:
    """An account in a region."""

    region: str
    account: str
    cloudformation: Any
    s3: Any
    dynamodb: Any

    @classmethod
    def of_environment(cls) -> "Aws":
        """The account and region that the environment names."""
        session: Any = botocore.session.get_session()
        region = environments_region()
        sts, *clients = (
            session.create_client(service, region_name=region)
            for service in ("sts", "cloudformation", "s3", "dynamodb")
        )
        return cls(region, sts.get_caller_identity()["Account"], *clients)

    def stack(self, name: str) -> dict[str, Any] | None:
        """The stack of this name or id; None when there is none."""
        try:
            (stack,) = self.cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # There is no code of its own for this, only a ValidationError.
            if "does not exist" in str(error):
                return None
            raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        try:
            self.dynamodb.describe_table(TableName=name)
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return False
        return True


def environments_region() -> str:
    """The region that the environment, or the profile in use, names."""
    region = Settings.from_env().region or botocore.session.get_session().get_config_variable("region")
    if not region:
        raise DeploymentFailed("no AWS region: set AWS_REGION, for instance AWS_REGION=eu-west-1")
    return str(region)


@contextmanager
def explained() -> Iterator[None]:
    """Turns what AWS, or the way to it, refuses into one line that says what to do."""
    try:
        yield
    except (ClientError, BotoCoreError, ValueError) as error:
        raise DeploymentFailed(explanation(error)) from error


def explanation(error: ClientError | BotoCoreError | ValueError) -> str:
    """What an error of the SDK means for a person, and what to do about it, in one line."""
    match error:
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
            return f"no AWS credentials: {_line(error)}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"
        case NoConnection() | HTTPClientError():
            return f"AWS is not reachable: {_line(error)}; check the network, AWS_REGION and AWS_ENDPOINT_URL"
        case ClientError():
            return _refusal(error)
        case _:
            return f"{_line(error)}; check the AWS settings of the environment"


def _refusal(error: ClientError) -> str:
    code = error.response["Error"].get("Code", "")
    why = _line(error.response["Error"].get("Message") or code)
    if "Denied" in code or code in {"UnauthorizedOperation", "Forbidden", "403"}:
        return f"{error.operation_name} is not allowed: {why}; have it granted, or use other credentials"
    if any(part in code for part in ("Token", "AccessKey", "Signature")):
        return f"AWS refuses the credentials: {why}; renew them; is AWS_REGION enabled in the account?"
    return f"{error.operation_name} was refused ({code}): {why}"


def _line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")


def reviewed(aws: Aws, change_set_id: str, echo: Echo) -> bool:
    """Lists what a change set changes, once it is complete; False when that is nothing."""
    pages = aws.cloudformation.get_paginator("describe_change_set")
    pauses = _pauses()
    while True:
        described = list(pages.paginate(ChangeSetName=change_set_id))
        status, reason = described[0]["Status"], described[0].get("StatusReason", "")
        if status == "CREATE_COMPLETE":
            break
        if status == "FAILED":
            if any(text in reason for text in NO_CHANGES):
                return False
            raise DeploymentFailed(f"CloudFormation cannot make these changes: {_line(reason)}")
        time.sleep(next(pauses))
    for page in described:
        for change in (entry["ResourceChange"] for entry in page["Changes"]):
            replaced = ", by a new one" if change.get("Replacement") == "True" else ""
            echo(f"  {change['Action']:<7} {change['LogicalResourceId']} ({change['ResourceType']}){replaced}")
    return True


def delete(aws: Aws, stack_id: str, name: str, echo: Echo) -> None:
    """Deletes a stack and waits until it is gone."""
    follower = Follower(aws, stack_id, name, echo)
    aws.cloudformation.delete_stack(StackName=stack_id)
    follower.until_done()


class Follower:
    """Tells what happens in a stack, from the moment it is made."""

    def __init__(self, aws: Aws, stack_id: str, name: str, echo: Echo) -> None:
        # By its id, because the name of a deleted stack is nobody's.
        self._events = aws.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        self._name = name
        self._echo = echo
        newest = next(self._newest_first(), None)
        self._last: str | None = newest["EventId"] if newest else None

    def until_done(self) -> None:
        """Echoes events as they come, until the stack's own operation has ended.

        Raises :class:`DeploymentFailed` with the first resource that failed; the others' failures follow from it.
        """
        failures: list[dict[str, Any]] = []
        for pause in _pauses():
            for event in self._new():
                status, reason = event["ResourceStatus"], _line(event.get("ResourceStatusReason", ""))
                self._echo(f"  {status} {event['LogicalResourceId']}" + (f": {reason}" if reason else ""))
                own = event["ResourceType"] == STACK and event["LogicalResourceId"] == self._name
                if status.endswith("_FAILED") and not own and "cancelled" not in reason:
                    failures.append(event)
                if own and status in DONE:
                    return
                # A stack that fails is not at its end until what it had done is undone.
                if own and status.endswith(("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")):
                    raise DeploymentFailed(self._failure(failures, event))
            time.sleep(pause)

    def _failure(self, failures: list[dict[str, Any]], end: dict[str, Any]) -> str:
        first = failures[0] if failures else end
        what = f"{first['LogicalResourceId']} ({first['ResourceType']})"
        reason = _line(first.get("ResourceStatusReason") or "no reason given")
        return f"{what} failed: {reason}; {self._name} is {end['ResourceStatus']}"

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        for page in self._events:
            yield from page["StackEvents"]

    def _new(self) -> list[dict[str, Any]]:
        """The events since the last call, oldest first."""
        new = []
        for event in self._newest_first():
            if event["EventId"] == self._last:
                break
            new.append(event)
        if new:
            self._last = new[0]["EventId"]
        return new[::-1]


def _pauses() -> Iterator[float]:
    """Seconds between two looks: short at first, because some things take no time."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
