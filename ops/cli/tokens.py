"""``./phones tokens``: issue, list, revoke."""

from datetime import datetime, timedelta
from typing import Any

import click

from chalicelib import tokens as api_tokens
from chalicelib.access import AccessLevel
from chalicelib.clock import timestamp
from chalicelib.dynamodb import translated_errors
from chalicelib.tokens import ApiTokens
from ops.cli.options import pass_deployment
from ops.cli.output import say, show_all
from ops.deployments import Deployment

COLUMNS = {
    "tokenId": "Id", "state": "State", "accessLevel": "Level", "customer": "Customer", "reseller": "Reseller",
    "expiresAt": "Expires, UTC", "description": "Description",
}  # fmt: skip


@click.group
def tokens() -> None:
    """Issue, list and revoke API tokens.

    \b
    Example:
      ./phones --local tokens list
    """


@tokens.command()
@click.option("--level", type=click.Choice(list(AccessLevel)), required=True, help="What the token allows.")
@click.option("--customer", help="Whose phones, for VIEWER, MANAGER and OWNER.")
@click.option("--reseller", help="Whose phones, for RESELLER.")
@click.option("--cluster", type=click.IntRange(1, 2), help="Of which PBX cluster, for REGISTRAR; without it, all.")
@click.option("--description", required=True, help="Who uses it, and for what.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it is valid.")
@pass_deployment
def issue(
    deployment: Deployment,
    *,
    level: AccessLevel,
    customer: str | None,
    reseller: str | None,
    cluster: int | None,
    description: str,
    days: int,
) -> None:
    """Issue a token and print it. It is shown this once and stored nowhere.

    \b
    Example:
      ./phones --local tokens issue --level OWNER --customer 5F00000000000000000000C1 --description portal
      ./phones --local tokens issue --level REGISTRAR --cluster 1 --description kamailio
    """
    now = deployment.services.clock()
    try:
        text = api_tokens.issue(
            AccessLevel(level),
            customer=customer,
            reseller=reseller,
            pbx_cluster=cluster,
            description=description,
            lifetime=timedelta(days=days),
            now=now,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(text)


@tokens.command("list")
@pass_deployment
def list_(deployment: Deployment) -> None:
    """List the tokens, oldest first, without their secret parts.

    \b
    Example:
      ./phones --local tokens list
    """
    now = deployment.services.clock()
    known = [name for name in ApiTokens.get_attributes() if name != "secret_hash"]
    names = [ApiTokens.get_attributes()[name].attr_name for name in known]
    with translated_errors():
        found = sorted(ApiTokens.scan(attributes_to_get=names), key=lambda token: token.created_at)
    show_all((_record(token, now) for token in found), COLUMNS)


@tokens.command()
@click.argument("token_id", metavar="ID")
@pass_deployment
def revoke(deployment: Deployment, token_id: str) -> None:
    """Revoke the token ID, the 16 digits in the middle of its text.

    \b
    Example:
      ./phones --local tokens revoke 80aa6bb7d4ca2c40
    """
    now = deployment.services.clock()
    try:
        api_tokens.revoke(token_id, now=now)
    except api_tokens.UnknownToken:
        raise click.ClickException(f"there is no token {token_id}; expected 16 hex digits") from None
    say("Revoked. API Gateway may still know it for up to 60 seconds.")


def _record(token: ApiTokens, now: datetime) -> dict[str, Any]:
    expired = token.expires_at is not None and token.expires_at <= now
    return {
        "tokenId": token.id,
        "state": "revoked" if token.revoked_at else "expired" if expired else "valid",
        "accessLevel": token.access_level,
        "customer": token.customer,
        "reseller": token.reseller,
        "pbxCluster": token.pbx_cluster,
        "description": token.description,
        "createdAt": timestamp(token.created_at),
        "expiresAt": token.expires_at and timestamp(token.expires_at),
        "revokedAt": token.revoked_at and timestamp(token.revoked_at),
    }
