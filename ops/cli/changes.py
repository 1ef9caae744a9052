"""``./phones reset``, ``rotate``, ``cancel`` and ``tend``: what changes credentials, now or by a date."""

import getpass
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from chalicelib.answers import plan_output, reset_output, sweep_output
from chalicelib.errors import BadRequest, Unavailable
from chalicelib.invocations import LONGEST_GRACE, MAX_REASON, rotation_invocation
from ops.cli.options import DURATION, MAC, MOMENT, PHONE_ID, pass_deployment
from ops.cli.output import show
from ops.deployments import Deployment
from ops.fleet import Criteria

PATIENCE = timedelta(days=1)
"""A command has no time limit; this one is far away."""

SECOND = timedelta(seconds=1)
KEY = click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: a command that is repeated with its key has the same effect once.",
)


@click.command()
@click.argument("phone_id", type=PHONE_ID, required=False)
@click.option("--mac", type=MAC, help="The phone's MAC address in the place of its id.")
@click.option("--grace", type=DURATION, default="0s", help="How long the old pair stays valid too.  [default: 0s]")
@click.option("--reason", metavar="TEXT", help="Why, for the record and the announcement.")
@click.option("--reveal", is_flag=True, help="Show the whole phone, new credentials included.")
@KEY
@pass_deployment
def reset(
    deployment: Deployment,
    /,
    *,
    phone_id: str | None,
    mac: str | None,
    grace: timedelta,
    reason: str | None,
    reveal: bool,
    key: str | None,
) -> None:
    """Give a phone a new pair.

    A pair is a username and a password. During --grace the old one is valid too, for a phone that fetches the new
    one by itself. ID is the phone's id, in upper or lower case.

    \b
    Example:
      ./phones --local reset 5F0000000000000000000002
      ./phones --local reset --mac 00:04:13:A1:B2:C4 --reason "moves to another desk" --grace 15m
    """
    if (phone_id is None) == (mac is None):
        raise click.UsageError("expected an ID or --mac, one of them")
    if reason is not None and len(reason) > MAX_REASON:
        raise click.UsageError(f"--reason: expected at most {MAX_REASON} characters")
    if grace > LONGEST_GRACE:
        raise click.UsageError(f"--grace: expected at most {LONGEST_GRACE.days} days")
    key = key or str(uuid.uuid4())
    try:
        done = deployment.services.resets.reset(
            phone_id or _phone_with(deployment, str(mac)),
            changed_by=getpass.getuser(),
            changed_via="cli",
            request_key=key,
            reason=reason,
            grace=grace,
        )
    except Unavailable as error:
        raise _repeatable(error, key) from error
    show(reset_output(done, include_credentials=reveal))


def _phone_with(deployment: Deployment, mac: str) -> str:
    found = [phone.id for phone in deployment.fleet.find(Criteria(mac=mac), ["_id"])]
    if not found:
        raise click.ClickException(f"no phone has the MAC address {mac}")
    if len(found) > 1:
        raise click.ClickException(f"{len(found)} phones have the MAC address {mac}: {', '.join(sorted(found))}")
    return found[0]


def _repeatable(error: Unavailable, key: str) -> click.ClickException:
    return click.ClickException(
        f"DynamoDB did not answer ({error.__cause__}); repeat the command with --key {key}"
    )


def selection(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what chooses phones: ids, a customer, or all."""
    for option in (
        click.option("--all", "fleet", is_flag=True, help="All phones."),
        click.option("--customer", metavar="ID", help="All phones of this customer."),
        click.argument("phone_ids", metavar="[ID]...", type=PHONE_ID, nargs=-1),
    ):
        command = option(command)
    return command


@click.command()
@selection
@click.option("--over", type=DURATION, default="1h", show_default=True, help="Time over which they are spread.")
@click.option("--not-before", type=MOMENT, help="When the first may be rotated.  [default: now]")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@KEY
@pass_deployment
def rotate(
    deployment: Deployment,
    /,
    *,
    over: timedelta,
    not_before: str | None,
    dry_run: bool,
    key: str | None,
    **chosen: Any,
) -> None:
    """Plan new pairs for many phones.

    Gives them dates spread over a time, on which the sweeps act.

    A phone is left out when it never fetched its configuration and has no rotation period of its own, because it
    would be cut off; or when its period is 0.

    \b
    Example:
      ./phones --local rotate --customer 5F00000000000000000000C1 --over 4h --dry-run
      ./phones --local rotate --all --over 1d12h --not-before 2030-01-31T22:00Z
    """
    when = {"over": f"PT{over // SECOND}S"} | ({} if not_before is None else {"notBefore": not_before})
    _plan(deployment, {**when, "dryRun": dry_run}, chosen, key)


@click.command()
@selection
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@KEY
@pass_deployment
def cancel(deployment: Deployment, /, *, dry_run: bool, key: str | None, **chosen: Any) -> None:
    """Take planned rotations back.

    The phones get their regular dates again, which for some is none at all.

    \b
    Example:
      ./phones --local cancel --customer 5F00000000000000000000C1
    """
    _plan(deployment, {"cancel": True, "dryRun": dry_run}, chosen, key)


def _plan(deployment: Deployment, asked: dict[str, Any], chosen: dict[str, Any], key: str | None) -> None:
    """Asks for what the Lambda function `schedule_rotation` would be asked for."""
    whom = {
        "customer": chosen["customer"],
        "fleet": chosen["fleet"] or None,
        "sipPhoneIds": list(chosen["phone_ids"]) or None,
    }
    given = {name: value for name, value in whom.items() if value is not None}
    if len(given) != 1:
        raise click.UsageError("expected IDs, --customer or --all, one of them")
    key = key or str(uuid.uuid4())
    services = deployment.services
    try:
        planned = rotation_invocation(
            {**asked, **given, "idempotencyKey": key}, request_id=key, now=services.clock()
        )
        plan = services.planning.plan(
            planned.selection,
            planned.window,
            request_key=planned.request_key,
            dry_run=planned.dry_run,
            time_left=lambda: PATIENCE,
        )
    except BadRequest as error:
        raise click.UsageError(str(error)) from error
    except Unavailable as error:
        raise _repeatable(error, key) from error
    show(plan_output(plan))


@click.command()
@pass_deployment
def tend(deployment: Deployment) -> None:
    """Sweep once, as the schedule does.

    Tends the phones whose date has come, and shows the counts.

    \b
    Example:
      ./phones --local tend
    """
    show(sweep_output(deployment.services.tending.tend(lambda: PATIENCE)))
