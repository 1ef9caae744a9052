"""Looks at everything that a deployment needs, and says of each thing how it is and what to do.

Permissions are found out by calls that can change nothing: writes under a condition that never holds, a secret
that no phone has, an event that the bus must refuse.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.phones import SHARDS, Agenda, ByCustomer, ByPreviousUsername, ByUsername
from ops.deployments import Deployment
from ops.importing import SECRETS_PER_SECOND
from ops.stacks import DeploymentFailed, explanation

SECRETS_A_REGION = 500_000
"""https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
FULL = 0.8
"""The share of a quota from which on it is a warning."""
CLOCK_WARNING = timedelta(seconds=30)
CLOCK_LIMIT = timedelta(minutes=5)
"""AWS refuses requests whose time is further off.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"""
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LATE_MINUTES = 15
CONCURRENCY = 50
"""Fewer Lambda functions at once than that do not carry the API's throttling limit."""
_NOBODY = {"_id": {"S": "0" * 24}}
_NEVER = {
    "ConditionExpression": "attribute_exists(#key) AND attribute_not_exists(#key)",
    "ExpressionAttributeNames": {"#key": "_id"},
}


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do."""

    name: str
    state: State
    detail: str
    remedy: str = ""

    def record(self) -> dict[str, str]:
        """The check as it is printed."""
        return {"check": self.name, "state": self.state.value, "detail": self.detail, "remedy": self.remedy}


Checks = Iterator[Check]


def examine(deployment: Deployment) -> Checks:
    """All checks, each as soon as it is made. Without credentials there is one only."""
    credentials = list(_explained("credentials", deployment, _credentials))
    yield from credentials
    if any(check.state is State.FAILURE for check in credentials):
        return
    for name, look in (
        ("stack", _stack),
        ("tables", _tables),
        ("indexes", _indexes),
        ("permissions", _permissions),
        ("bus", _bus),
        ("schedule", _schedule),
        ("sweeps", _sweeps),
        ("quotas", _quotas),
    ):
        yield from _explained(name, deployment, look)


def _explained(name: str, deployment: Deployment, look: Callable[[Deployment], Checks]) -> Checks:
    try:
        yield from look(deployment)
    except DeploymentFailed as failure:
        yield Check(name, State.FAILURE, str(failure))
    except (ClientError, BotoCoreError) as error:
        yield Check(name, State.FAILURE, explanation(error))


def _credentials(deployment: Deployment) -> Checks:
    answer = deployment.client("sts").get_caller_identity()
    yield Check("credentials", State.OK, answer["Arn"])
    yield Check("region", State.OK, deployment.region)
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    off = abs(deployment.clock() - there)
    detail = f"{off.total_seconds():.0f} s from AWS's"
    if off < CLOCK_WARNING:
        yield Check("clock", State.OK, detail)
    else:
        state = State.WARNING if off < CLOCK_LIMIT else State.FAILURE
        yield Check("clock", state, detail, "set it, and have it kept by NTP: AWS refuses what is 5 minutes off")


def _stack(deployment: Deployment) -> Checks:
    if deployment.stage is None:
        return
    status = deployment.stack["StackStatus"]
    if status.endswith("_IN_PROGRESS"):
        yield Check("stack", State.WARNING, status, "wait until it has ended")
    elif status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
        yield Check("stack", State.OK, status)
    else:
        yield Check("stack", State.WARNING, status, f"`make deploy STAGE={deployment.stage}` again, and see why")


def _tables(deployment: Deployment) -> Checks:
    dynamodb, settings = deployment.client("dynamodb"), deployment.settings
    for table in (settings.phones_table, settings.tokens_table):
        described = dynamodb.describe_table(TableName=table)["Table"]
        active = described["TableStatus"] == "ACTIVE"
        detail = f"{table}: {described['TableStatus']}, {described['ItemCount']:,} items"
        yield Check("tables", State.OK if active else State.FAILURE, detail, "" if active else "wait, or look why")
        if deployment.stage is None:
            continue
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
        if recovery != "ENABLED":
            yield Check("tables", State.WARNING, f"{table}: no point-in-time recovery", "deploy the stack again")
        if deployment.stage == "prod" and not described.get("DeletionProtectionEnabled"):
            yield Check("tables", State.WARNING, f"{table}: not protected from deletion", "deploy the stack again")


def _indexes(deployment: Deployment) -> Checks:
    table = deployment.settings.phones_table
    described = deployment.client("dynamodb").describe_table(TableName=table)["Table"]
    # A simulator whose indexes are always there says no status.
    indexes = described.get("GlobalSecondaryIndexes", [])
    found = {index["IndexName"]: index.get("IndexStatus", "ACTIVE") for index in indexes}
    for index in (Agenda, ByCustomer, ByUsername, ByPreviousUsername):
        name = index.Meta.index_name
        match found.get(name):
            case "ACTIVE":
                yield Check("indexes", State.OK, f"{name}: ACTIVE")
            case None:
                yield Check("indexes", State.FAILURE, f"{table} has no index {name}", "deploy the stack again")
            case status:
                yield Check("indexes", State.WARNING, f"{name}: {status}", "wait: DynamoDB is still at it")


def _permissions(deployment: Deployment) -> Checks:
    refused = []
    probes = dict(_probes(deployment))
    for action, call in probes.items():
        try:
            code = _code_in(call())
        except ClientError as error:
            code = error.response["Error"]["Code"]
        if "Denied" in code or "NotAuthorized" in code:
            refused.append(action)
    if refused:
        yield Check("permissions", State.FAILURE, f"not allowed: {', '.join(refused)}", "have them granted")
    else:
        yield Check("permissions", State.OK, f"allowed: {', '.join(probes)}")


def _probes(deployment: Deployment) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls that change nothing, by the permission that they need."""
    settings = deployment.settings
    dynamodb, secrets, events = (deployment.client(each) for each in ("dynamodb", "secretsmanager", "events"))
    phones, no_secret = settings.phones_table, f"{settings.secret_prefix}doctor"
    by_customer = {
        "IndexName": ByCustomer.Meta.index_name,
        "KeyConditionExpression": "customer = :nobody",
        "ExpressionAttributeValues": {":nobody": {"S": "0"}},
    }
    malformed = {"EventBusName": settings.event_bus, "Source": "-", "DetailType": "-", "Detail": "not JSON"}
    yield "dynamodb:GetItem", lambda: dynamodb.get_item(TableName=phones, Key=_NOBODY)
    yield "dynamodb:BatchGetItem", lambda: dynamodb.batch_get_item(RequestItems={phones: {"Keys": [_NOBODY]}})
    yield "dynamodb:Query", lambda: dynamodb.query(TableName=phones, **by_customer)
    yield "dynamodb:Scan", lambda: dynamodb.scan(TableName=phones, Limit=1)
    yield "dynamodb:PutItem", lambda: dynamodb.put_item(TableName=phones, Item=_NOBODY, **_NEVER)
    yield "dynamodb:UpdateItem", lambda: dynamodb.update_item(TableName=phones, Key=_NOBODY, **_NEVER)
    yield "secretsmanager:BatchGetSecretValue", lambda: secrets.batch_get_secret_value(SecretIdList=[no_secret])
    yield "secretsmanager:PutSecretValue", lambda: secrets.put_secret_value(SecretId=no_secret, SecretString="-")
    yield "events:PutEvents", lambda: events.put_events(Entries=[malformed])


def _code_in(answer: dict[str, Any]) -> str:
    """The code of an error that an answer has inside."""
    errors = [*answer.get("Errors", []), *answer.get("Entries", [])]
    return next((error["ErrorCode"] for error in errors if "ErrorCode" in error), "")


def _bus(deployment: Deployment) -> Checks:
    bus = deployment.client("events").describe_event_bus(Name=deployment.settings.event_bus)
    yield Check("bus", State.OK, bus["Arn"])


def _schedule(deployment: Deployment) -> Checks:
    if deployment.run_file is not None:
        yield Check("schedule", State.OK, "`make run` sweeps as long as it runs")
    elif deployment.stage is None:
        yield Check("schedule", State.WARNING, "nobody knows which it is", "name the deployment with --stage")
    else:
        name = deployment.resource("TendSchedule")
        rule = deployment.client("events").describe_rule(Name=name)
        enabled = rule["State"] == "ENABLED"
        yield Check(
            "schedule",
            State.OK if enabled else State.FAILURE,
            f"{rule['ScheduleExpression']}, {rule['State']}",
            "" if enabled else f"aws events enable-rule --name {name}",
        )


def _sweeps(deployment: Deployment) -> Checks:
    dynamodb, table = deployment.client("dynamodb"), deployment.settings.phones_table
    now = deployment.clock()
    dates = [date for shard in range(SHARDS) if (date := _oldest(dynamodb, table, shard)) is not None]
    minutes = max(0, (now - min(dates, default=now)) // MINUTE)
    if minutes <= LATE_MINUTES:
        yield Check("sweeps", State.OK, f"no phone waits for more than {LATE_MINUTES} minutes")
    else:
        detail = f"a phone has waited for {minutes:,} minutes"
        yield Check("sweeps", State.WARNING, detail, "see the log of tend, or sweep now with `./phones tend`")


def _oldest(dynamodb: Any, table: str, shard: int) -> datetime | None:
    """The first date of a shard of the agenda."""
    found = dynamodb.query(
        TableName=table,
        IndexName=Agenda.Meta.index_name,
        KeyConditionExpression="tendShard = :shard",
        ExpressionAttributeValues={":shard": {"N": str(shard)}},
        Limit=1,
    )["Items"]
    return datetime.fromtimestamp(int(found[0]["tendAt"]["N"]), UTC) if found else None


def _quotas(deployment: Deployment) -> Checks:
    settings, phones = deployment.settings, deployment.fleet.size().phones
    yield _share(phones, SECRETS_A_REGION, "secrets of a region", "bring further customers to another region")
    rate = settings.tend_rate_per_second
    if rate > (most := FULL * SECRETS_PER_SECOND):
        detail = f"sweeps may write {rate} of the {SECRETS_PER_SECOND} secrets a second"
        yield Check("quotas", State.WARNING, detail, f"TendRatePerSecond of {most:.0f} leaves the rest to resets")
    if settings.rotation_days:
        daily, capacity = phones / settings.rotation_days, rate * DAY / timedelta(seconds=1)
        yield _share(daily, capacity, "rotations that sweeps have time for in a day", "make the period longer")
    if deployment.stage is not None:
        limits = deployment.client("lambda").get_account_settings()["AccountLimit"]
        free = limits["UnreservedConcurrentExecutions"]
        few = free < CONCURRENCY
        yield Check(
            "quotas",
            State.WARNING if few else State.OK,
            f"{free:,} Lambda functions at once in this account and region",
            f"ask AWS for {CONCURRENCY} or more" if few else "",
        )


def _share(used: float, quota: float, what: str, remedy: str) -> Check:
    full = used >= FULL * quota
    detail = f"{used:,.0f} of {quota:,.0f} {what}"
    return Check("quotas", State.WARNING if full else State.OK, detail, remedy if full else "")
