"""``./phones verify`` and ``doctor``: whether all is as it should be."""

import json
import sys
import time
from contextlib import closing
from pathlib import Path

import click
from rich.text import Text

from ops.cli.options import pass_deployment
from ops.cli.output import console, meter, on_terminal, say
from ops.deployments import STATE_FOLDER, Deployment
from ops.doctor import Check, State, examine
from ops.verifying import REPAIRED, Difference, Finding, Progress, Verification

SAVE_SECONDS = 1.0


@click.command()
@click.option("--repair", is_flag=True, help="Publish the table's pair again where the copy differs.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted verification stopped.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where it is noted how far the verification is.  [default: a file for each deployment, in .local]",
)
@pass_deployment
def verify(deployment: Deployment, /, repair: bool, resume: bool, checkpoint: Path | None) -> None:
    """Compare all phones with Secrets Manager.

    Lists those whose copies differ. Asks for 20 secrets at once and at most 100 times a second, which is what
    Secrets Manager takes. Exit status 1 when a copy differs and was not repaired. A phone that is being reset at
    the moment is `pending`, which is as it should be. A repair announces the pair again, under the same
    credentialsId.

    \b
    Example:
      ./phones --local verify
      ./phones --local verify --repair --resume
    """
    services, fleet = deployment.services, deployment.fleet
    file = checkpoint or STATE_FOLDER / f"verify-{deployment.region}-{fleet.table}.json"
    progress = _progress(file, resume=resume)
    verification = Verification(services, fleet, deployment.client("secretsmanager"), repair=repair)
    began = saved = time.monotonic()
    before = progress.phones
    try:
        with meter("Verifying", fleet.size().phones) as bar, closing(verification.run(progress)) as batches:
            bar.advance(before)
            for batch in batches:
                for difference in batch.differences:
                    _tell(difference)
                bar.advance(len(batch.phones))
                if time.monotonic() - saved > SAVE_SECONDS:
                    progress.save(file)
                    saved = time.monotonic()
    except BaseException:  # whatever ends it, Ctrl-C above all
        progress.save(file)
        say(f"Stopped after {progress.phones:,} phones; `verify --resume` goes on from there.")
        raise
    file.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    findings = ", ".join(f"{progress.findings[name]:,} {name}" for name in (*Finding, REPAIRED))
    say(
        f"{progress.phones:,} phones with {progress.requests:,} requests: {findings}; "
        f"{(progress.phones - before) / seconds:,.0f} a second"
    )
    wrong = sum(progress.findings[name] for name in Finding if name is not Finding.PENDING)
    if wrong > progress.findings[REPAIRED]:
        sys.exit(1)


def _progress(file: Path, *, resume: bool) -> Progress:
    try:
        former = Progress.load(file)
    except FileNotFoundError:
        if resume:
            say("No verification was interrupted: this one starts at the beginning.")
        return Progress()
    except ValueError as error:
        raise click.ClickException(f"{error}; delete it, or name another one with --checkpoint") from error
    if resume:
        return former
    say(f"Another verification stopped after {former.phones:,} phones; --resume goes on from there.")
    return Progress()


def _tell(difference: Difference) -> None:
    if on_terminal():
        repaired = "repaired" if difference.repaired else ""
        words = (difference.phone_id, difference.finding.value, difference.detail, repaired)
        click.echo("  ".join(filter(None, words)))
    else:
        click.echo(json.dumps(difference.record()))


@click.command()
@pass_deployment
def doctor(deployment: Deployment, /) -> None:
    """Check what the deployment needs.

    A line for each thing, and what to do where something is wrong: credentials, region, clock, stack, tables,
    indexes, permissions, bus, schedule, sweeps, quotas. Changes nothing. Exit status 1 when something is wrong
    enough to stop the service.

    \b
    Example:
      ./phones --local doctor
    """
    failed = False
    for check in examine(deployment):
        failed |= check.state is State.FAILURE
        if on_terminal():
            _show_line(check)
        else:
            click.echo(json.dumps(check.record()))
    if failed:
        sys.exit(1)


def _show_line(check: Check) -> None:
    colour = {State.OK: "green", State.WARNING: "yellow", State.FAILURE: "red"}[check.state]
    remedy = f" → {check.remedy}" if check.remedy else ""
    console().print(Text.assemble((f"{check.state.value:<8}", colour), f"{check.name:<12} {check.detail}{remedy}"))
