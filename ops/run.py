"""`make run`: the whole service on this machine, until Ctrl-C."""

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click
import urllib3

import app
from chalicelib import tokens
from chalicelib.access import AccessLevel
from chalicelib.answers import sweep_output
from chalicelib.errors import Unavailable
from chalicelib.services import Services
from chalicelib.settings import Settings
from chalicelib.telemetry import logger
from ops.gateway import PROJECT, GatewayServer
from ops.importing import Outcome, import_phones
from ops.local_aws import LocalAwsFailed, create_resources, port_is_taken, simulator, use_local_credentials
from ops.phone_records import read_records

SAMPLE_PHONES = Path(__file__).parent / "sample_phones.json"
TOKEN_LIFETIME = timedelta(days=7)
TEND_SECONDS = 15
TEND_TIME = timedelta(minutes=4)


@click.command(context_settings={"auto_envvar_prefix": ""})
@click.option("--port", envvar="PORT", default=8000, show_default=True, help="Port of the API.")
@click.option("--aws-port", envvar="AWS_PORT", default=5070, show_default=True, help="Port of the local AWS.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=PROJECT / ".local",
    help="Where state, logs and run.json go.",
)
def main(port: int, aws_port: int, folder: Path) -> None:
    """Starts a local AWS and the API, with sample phones and tokens, and resets one phone."""
    started = time.monotonic()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder.mkdir(parents=True, exist_ok=True)
    run_file = folder / "run.json"
    run_file.unlink(missing_ok=True)
    if port_is_taken(port):
        raise click.ClickException(f"port {port} is taken; choose another: make run PORT={port + 1}")
    use_local_credentials()
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")  # they go to standard output
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "sip-credentials")
    with ExitStack() as cleanup:
        if not os.environ.get("AWS_ENDPOINT_URL"):
            if port_is_taken(aws_port):
                raise click.ClickException(
                    f"port {aws_port} is taken; choose another one: make run AWS_PORT={aws_port + 1}"
                )
            local_aws = simulator(aws_port, data=folder / "aws", log=folder / "aws.log")
            try:
                os.environ["AWS_ENDPOINT_URL"] = cleanup.enter_context(local_aws)
            except LocalAwsFailed as error:
                raise click.ClickException(str(error)) from error
        direct_logs(folder / "service.log")
        settings = Settings.from_env()
        services = app.services()
        create_resources(settings)
        phones = sample_phones(services)
        server = GatewayServer(app.app, port=port)
        server.serve_in_background()
        cleanup.callback(server.shutdown)
        tending = threading.Thread(target=tend_until, args=(stop, services), name="tend schedule")
        cleanup.callback(tending.join)
        run = {
            "apiUrl": server.url,
            "awsEndpointUrl": os.environ["AWS_ENDPOINT_URL"],
            "region": settings.region,
            "tokens": issue_tokens(services, phones[0]),
            "phones": phones,
        }
        first_reset(run)
        tending.start()
        write_private(run_file, json.dumps(run, indent=2) + "\n")
        cleanup.callback(run_file.unlink)
        click.echo(f"Ready after {time.monotonic() - started:.1f} s. Ctrl-C stops everything.")
        click.echo(f"The API explains itself at {server.url}/docs")
        stop.wait()
    click.echo("Stopped.")


def tend_until(stop: threading.Event, services: Services) -> None:
    """Sweeps every `TEND_SECONDS`, as the schedule of a deployment does every five minutes."""
    while not stop.wait(TEND_SECONDS):
        try:
            sweep = services.tending.tend(lambda: TEND_TIME)
        except Unavailable as error:
            click.echo(f"tend: {error}")
        else:
            if sweep.due:
                click.echo(f"tend: {json.dumps(sweep_output(sweep))}")


def direct_logs(file: Path) -> None:
    """Sends the service's own log to ``file`` and shows the requests on the terminal."""
    access_log = logging.getLogger("ops.gateway")
    access_log.setLevel(logging.INFO)
    access_log.addHandler(logging.StreamHandler(sys.stdout))
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file.open("a"))


def sample_phones(services: Services) -> list[dict[str, Any]]:
    """Imports the sample phones where they are missing and answers with whose they are."""
    with SAMPLE_PHONES.open() as lines:
        for result in import_phones(services, read_records(lines), by="make run"):
            if result.outcome in (Outcome.REFUSED, Outcome.FAILED):
                raise click.ClickException(f"{SAMPLE_PHONES.name}, line {result.line}: {result.reason}")
    return [
        {"_id": phone["_id"], "customer": phone["customer"], "reseller": phone.get("reseller")}
        for phone in json.loads(SAMPLE_PHONES.read_text())
    ]


def issue_tokens(services: Services, phone: dict[str, Any]) -> dict[str, str]:
    """A token for each access level, for the owners of ``phone``."""
    return {
        level.value: tokens.issue(
            level,
            customer=phone["customer"] if level not in _WITHOUT_CUSTOMER else None,
            reseller=phone["reseller"] if level is AccessLevel.RESELLER else None,
            description="make run",
            lifetime=TOKEN_LIFETIME,
            now=services.clock(),
        )
        for level in AccessLevel
    }


def first_reset(run: dict[str, Any]) -> None:
    """Resets the first phone over HTTP and shows how to do it again."""
    phone_id, token = run["phones"][0]["_id"], run["tokens"]["OWNER"]
    url = f"{run['apiUrl']}/pbx/sipphone/{phone_id}/resetcredentials"
    answer = urllib3.request("POST", url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    if answer.status != HTTPStatus.OK:
        raise click.ClickException(f"the first reset was answered {answer.status}: {answer.data.decode()}")
    phone = answer.json()
    click.echo(json.dumps(phone, indent=2))
    click.echo(
        "\nReset it again:\n\n"
        f"  curl -s -X POST -H 'Authorization: Bearer {token}' \\\n    {url}\n\n"
        "and see that Secrets Manager has the same pair:\n\n"
        f"  ./phones --local show {phone_id} --reveal\n"
    )


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, all at once."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)


_WITHOUT_CUSTOMER = {AccessLevel.RESELLER, AccessLevel.ADMIN, AccessLevel.REGISTRAR}

if __name__ == "__main__":
    main()
