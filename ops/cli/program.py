"""The program ``./phones``: its commands, the deployment they work on, and what its ends mean."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from chalicelib.dynamodb import RequestRefused
from chalicelib.errors import ServiceError
from chalicelib.telemetry import logger
from ops.cli.changes import cancel, reset, rotate, tend
from ops.cli.completion import COMPLETE_VARIABLE, completion
from ops.cli.health import doctor, verify
from ops.cli.lookup import find, show
from ops.cli.output import say
from ops.cli.status import status
from ops.cli.tokens import tokens
from ops.cli.transfer import convert, export, import_
from ops.deployments import RUN_FILE, Deployment
from ops.stacks import DeploymentFailed, explanation

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--local", is_flag=True, help="Work on what `make run` started.")
@click.option("--stage", metavar="STAGE", help="Work on the stack of this stage, such as dev or prod.")
@click.option(
    "--run-file", type=click.Path(path_type=Path), default=RUN_FILE, envvar="PHONES_RUN_FILE", hidden=True
)
@click.pass_context
def phones(context: click.Context, local: bool, stage: str | None, run_file: Path) -> None:
    """Look after the phones and the API tokens of a deployment.

    Without --local and --stage it is the deployment that the environment names: AWS credentials, AWS_REGION,
    PHONES_TABLE, TOKENS_TABLE, EVENT_BUS, SECRET_PREFIX, SECRET_KMS_KEY, ROTATION_DAYS.

    Records go to standard output, all else to standard error. On a terminal records are laid out for people; in a
    pipe each one is a line of JSON. Usernames and passwords are masked, unless you ask for them with --reveal.
    NO_COLOR is honoured.

    Exit status: 0 done; 1 something was refused, failed, differs or was not found; 2 wrong usage; 130 interrupted.

    \b
    Example:
      ./phones --local status
    """
    if local and stage is not None:
        raise click.UsageError("--local, --stage: expected one of them at most")
    logger.setLevel("ERROR")
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"  # they go to standard output
    context.obj = Deployment(stage=stage, run_file=run_file if local else None)


for command in (
        import_, export, convert, show, find, reset, rotate, cancel, tend, status, verify, doctor, tokens,
    completion,
):  # fmt: skip
    phones.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line, with ``arguments`` or the program's own.

    Whatever goes wrong is one line on standard error.
    """
    try:
        sys.exit(phones.main(arguments, "./phones", complete_var=COMPLETE_VARIABLE, standalone_mode=False))
    except click.Abort:
        say("Interrupted.")
        sys.exit(INTERRUPTED)
    except click.UsageError as error:
        program = error.ctx.command_path if error.ctx else "./phones"
        say(f"Error: {' '.join(error.format_message().split())} ({program} --help says more.)")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (
        ServiceError,
        DeploymentFailed,
        RequestRefused,
        PynamoDBException,
        BotoCoreError,
        ClientError,
    ) as error:
        say(f"Error: {_meaning(error)}")
        sys.exit(1)


def _meaning(error: BaseException) -> str:
    """What an error means for a person: what AWS said, where that is what it comes from."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DeploymentFailed):
        if isinstance(cause, ClientError | BotoCoreError):
            missing = isinstance(cause, ClientError) and "ResourceNotFound" in cause.response["Error"]["Code"]
            hint = "; is it the right deployment? --local, --stage or the environment names it" if missing else ""
            return explanation(cause) + hint
        cause = cause.cause if isinstance(cause, PynamoDBException) else cause.__cause__
    return str(error)
