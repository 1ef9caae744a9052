"""``./phones show`` and ``find``: what the table has of phones."""

import sys
from typing import Any

import click

from chalicelib.clock import timestamp
from chalicelib.phone_properties import plain
from chalicelib.phones import SipPhones
from ops.cli.options import MAC, PHONE_ID, pass_deployment
from ops.cli.output import masked, say, show_all
from ops.cli.output import show as show_record
from ops.deployments import Deployment
from ops.fleet import Criteria
from ops.verifying import copies, difference

COLUMNS = {
    "_id": "Id", "customer": "Customer", "extension": "Extension", "macAddress": "MAC",
    "credentialsChangedAt": "Changed, UTC", "notes": "Notes",
}  # fmt: skip
FOUND = {*COLUMNS, "reseller", "sipPhoneModel"}


@click.command()
@click.argument("phone_id", type=PHONE_ID)
@click.option("--reveal", is_flag=True, help="Show username and password.")
@pass_deployment
def show(deployment: Deployment, phone_id: str, reveal: bool) -> None:
    """Show a phone.

    Its properties, its credentials and their copy in Secrets Manager: `copy` is `current` when Secrets Manager has
    the same pair as the table.

    \b
    Example:
      ./phones --local show 5F0000000000000000000001
      ./phones --local show 5F0000000000000000000001 --reveal
    """
    services = deployment.services
    phone = SipPhones.find(phone_id)
    if phone is None:
        raise click.ClickException(f"there is no phone {phone_id}")
    copy = copies(deployment.client("secretsmanager"), services.publisher.mirror, [phone_id])[phone_id]
    differs = difference(phone, copy)
    due = phone.due(deployment.settings.rotation_days)
    changed_at = phone.credentials_changed_at
    record = {
        **masked(phone.document(), reveal=reveal),
        "reseller": phone.reseller,
        "rotationDays": phone.rotation_days,
        "credentials": {
            "id": phone.credentials_id,
            "changedAt": changed_at and timestamp(changed_at),
            "changedBy": phone.changed_by,
            "changedVia": phone.changed_via,
            "reason": phone.change_reason,
            "graceUntil": phone.grace_until,
            "adoptedAt": phone.adopted_at and timestamp(phone.adopted_at),
            "due": due and timestamp(due),
            "settled": not phone.unsettled,
            "copy": "current" if differs is None else ": ".join(filter(None, differs)),
        },
    }
    show_record({name: value for name, value in record.items() if value is not None})


@click.command()
@click.option("--mac", type=MAC, help="MAC address, with or without separators.")
@click.option("--customer", metavar="ID", help="The customer that the phones belong to.")
@click.option("--extension", metavar="ID", help="The extension that the phones belong to.")
@click.option("--note", metavar="TEXT", help="A part of the notes, in upper or lower case.")
@pass_deployment
def find(deployment: Deployment, /, **criteria: str | None) -> None:
    """Find phones.

    They have all that is given of MAC address, customer, extension and notes. With --customer only that customer's
    phones are read, otherwise the whole table.

    \b
    Example:
      ./phones --local find --mac 00:04:13:A1:B2:C3
      ./phones --local find --customer 5F00000000000000000000C1 --note recep
    """
    if not any(criteria.values()):
        raise click.UsageError("expected at least one of --mac, --customer, --extension, --note")
    found = deployment.fleet.find(Criteria(**criteria), FOUND)
    if not show_all((_found(phone) for phone in found), COLUMNS):
        say("No phone is like that.")
        sys.exit(1)


def _found(phone: SipPhones) -> dict[str, Any]:
    changed_at = phone.credentials_changed_at
    return {**plain(phone), "credentialsChangedAt": changed_at and timestamp(changed_at)}
