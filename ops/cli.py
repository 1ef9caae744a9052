"""The operators' command line: ``./phones``.

It works on the AWS account and region of the environment, or with ``--local`` on what `make run` started.
Exit status: 0 done, 1 something was refused or failed, 2 wrong usage.
"""

import getpass
import json
import os
import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO, cast

import botocore.session
import click
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.answers import sweep_output
from chalicelib.dynamodb import RequestRefused
from chalicelib.errors import ServiceError
from chalicelib.phones import canonical_id
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from chalicelib.telemetry import logger
from ops.gateway import PROJECT
from ops.importing import Outcome, import_phones
from ops.local_aws import use_local_credentials
from ops.phone_records import read_records

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

RUN_FILE = PROJECT / ".local" / "run.json"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--local", is_flag=True, help="Work on the local AWS that `make run` started.")
@click.pass_context
def phones(context: click.Context, local: bool) -> None:
    """Look after the phones and the API tokens of a deployment."""
    if local:
        try:
            run = json.loads(RUN_FILE.read_text())
        except FileNotFoundError:
            raise click.ClickException("nothing runs locally; start it with `make run`") from None
        os.environ["AWS_ENDPOINT_URL"] = run["awsEndpointUrl"]
        os.environ["AWS_DEFAULT_REGION"] = run["region"]
        use_local_credentials()
    logger.setLevel("ERROR")
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"  # they go to standard output
    try:
        context.obj = connect(Settings.from_env())
    except (BotoCoreError, ValueError) as error:
        raise click.ClickException(f"{error} Set AWS_REGION, or use --local.") from error


@phones.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.pass_obj
def import_(services: Services, file: TextIO) -> None:
    """Import phones from FILE, or from standard input when FILE is "-".

    FILE has one phone as JSON on each line, or a JSON array of phones. A phone with username and password
    keeps them; otherwise a pair is generated. Importing a file again changes nothing.

    Example: ./phones --local import phones.jsonl
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (
        TextColumn("Importing"),
        BarColumn(),
        TextColumn("{task.fields[phones]} phones"),
        TimeElapsedColumn(),
    )
    counts: Counter[str] = Counter()
    pending = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("import", total=_lines_of(file), phones=0)
        results = import_phones(services, read_records(file), by=getpass.getuser())
        for number, result in enumerate(results, start=1):
            counts[result.outcome] += 1
            pending += result.pending
            progress.update(task, completed=result.line, phones=number)
            if result.reason:
                console.print(f"line {result.line}: {result.reason}")
            if progress.disable and number % _PLAIN_PROGRESS == 0:
                console.print(f"{number:,} phones")
    click.echo(", ".join(f"{counts[outcome]:,} {outcome}" for outcome in Outcome))
    if pending:
        click.echo(f"{pending:,} in force, with the copy in Secrets Manager or the announcement to follow")
    if counts[Outcome.REFUSED] or counts[Outcome.FAILED]:
        sys.exit(1)


def _lines_of(file: TextIO) -> int | None:
    if not file.seekable():
        return None
    lines = sum(1 for _ in file)
    file.seek(0)
    return lines


@phones.command()
@click.argument("phone_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show username and password.")
def secret(phone_id: str, reveal: bool) -> None:
    """Show the copy of a phone's credentials in Secrets Manager.

    Example: ./phones --local secret 5F0000000000000000000001 --reveal
    """
    settings = Settings.from_env()
    session = botocore.session.get_session()
    client = cast("SecretsManagerClient", session.create_client("secretsmanager", region_name=settings.region))
    name = f"{settings.secret_prefix}{canonical_id(phone_id)}"
    value = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
    if not reveal:
        value |= {"username": _MASK, "password": _MASK}
    click.echo(json.dumps(value, indent=2))


@phones.command()
@click.pass_obj
def tend(services: Services) -> None:
    """Sweep once over the phones whose date has come, and print the counts as JSON.

    Example: ./phones --local tend
    """
    click.echo(json.dumps(sweep_output(services.tending.tend(lambda: TEND_TIME))))


@phones.group(name="tokens")
def tokens_() -> None:
    """Issue and revoke API tokens."""


@tokens_.command()
@click.option("--level", type=click.Choice(list(AccessLevel)), required=True, help="What the token allows.")
@click.option("--customer", help="Whose phones, for VIEWER, MANAGER and OWNER.")
@click.option("--reseller", help="Whose phones, for RESELLER.")
@click.option("--cluster", type=click.IntRange(1, 2), help="Of which PBX cluster, for REGISTRAR; without it, all.")
@click.option("--description", required=True, help="Who uses it, and for what.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it is valid.")
@click.pass_obj
def issue(
    services: Services,
    *,
    level: AccessLevel,
    customer: str | None,
    reseller: str | None,
    cluster: int | None,
    description: str,
    days: int,
) -> None:
    """Issue a token and print it. It is shown this once and stored nowhere.

    Example: ./phones --local tokens issue --level OWNER --customer 5F0C1 --description portal
    """
    try:
        text = tokens.issue(
            AccessLevel(level),
            customer=customer,
            reseller=reseller,
            pbx_cluster=cluster,
            description=description,
            lifetime=timedelta(days=days),
            now=services.clock(),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(text)


@tokens_.command()
@click.argument("token_id", metavar="ID")
@click.pass_obj
def revoke(services: Services, token_id: str) -> None:
    """Revoke the token ID, the 16 digits in the middle of its text.

    Example: ./phones --local tokens revoke 80aa6bb7d4ca2c40
    """
    try:
        tokens.revoke(token_id, now=services.clock())
    except tokens.UnknownToken:
        raise click.ClickException(f"there is no token {token_id}; expected 16 hex digits") from None
    click.echo("Revoked. API Gateway may still know it for up to 60 seconds.")


def main() -> None:
    """Runs the command line; what AWS refuses is one line on standard error."""
    try:
        phones()
    except RequestRefused as refusal:
        click.echo(f"Error: DynamoDB refused: {refusal}; are region, PHONES_TABLE, TOKENS_TABLE right?", err=True)
        sys.exit(1)
    except (ServiceError, PynamoDBException, BotoCoreError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


TEND_TIME = timedelta(hours=1)
_MASK = "********"
_PLAIN_PROGRESS = 1000

if __name__ == "__main__":
    main()
