"""``./phones import``, ``export`` and ``convert``: phones from files and into files."""

import getpass
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

import click

from chalicelib.phone_properties import plain
from ops import migrating
from ops.cli.options import pass_deployment
from ops.cli.output import SECRETS, masked, meter, on_terminal, say, show
from ops.deployments import Deployment
from ops.importing import SECRETS_PER_SECOND, Outcome, import_phones
from ops.phone_records import BadRecord, importable, read_records


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    default=SECRETS_PER_SECOND,
    show_default=True,
    help="Secrets written in a second at most. Secrets Manager takes 50 in a region.",
)
@pass_deployment
def import_(deployment: Deployment, /, file: TextIO, rate: float) -> None:
    """Import phones.

    FILE, or standard input for "-", has one phone as JSON on each line, or a JSON array of phones. A phone with
    username and password keeps them; otherwise a pair is generated. Importing a file again changes nothing, and
    completes what an interrupted import left.

    \b
    Example:
      ./phones --local import phones.jsonl
    """
    services = deployment.services
    counts: Counter[str] = Counter()
    pending = 0
    try:
        results = import_phones(services, read_records(file), by=getpass.getuser(), rate=rate)
        with meter("Importing", _lines_of(file), every=1000) as bar, closing(results):
            for result in results:
                counts[result.outcome] += 1
                pending += result.pending
                if result.reason:
                    bar.say(f"line {result.line}: {result.reason}")
                bar.advance(1, position=result.line)
    except UnicodeDecodeError as error:
        raise click.ClickException(f"expected UTF-8 text: {error}") from error
    except KeyboardInterrupt:
        say(f"Stopped after {counts.total():,} phones; importing the file again goes on.")
        raise
    show({**{outcome.value: counts[outcome] for outcome in Outcome}, "pending": pending})
    if pending:
        say("pending: in force, with the copy in Secrets Manager or the announcement to follow")
    if counts[Outcome.REFUSED] or counts[Outcome.FAILED]:
        sys.exit(1)


def _lines_of(file: TextIO) -> int | None:
    if not file.seekable():
        return None
    lines = sum(1 for _ in file)
    file.seek(0)
    return lines


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
@click.option("--secrets", is_flag=True, help="With usernames and passwords; has to be confirmed.")
@click.option("--confirm-secrets", is_flag=True, help="Confirms --secrets where nobody can be asked.")
@pass_deployment
def export(deployment: Deployment, /, file: Path, secrets: bool, confirm_secrets: bool) -> None:
    """Export all phones.

    Writes them to FILE, or to standard output, a line of JSON each, as `import` takes them. FILE appears when it
    is complete, and only you can read it.

    \b
    Example:
      ./phones --local export phones.jsonl
      ./phones --local export --secrets --confirm-secrets backup.jsonl
    """
    if secrets and not confirm_secrets:
        if not sys.stdin.isatty():
            raise click.UsageError(
                "--secrets writes all passwords in the clear: confirm it with --confirm-secrets"
            )
        click.confirm("This writes all passwords in the clear. Go on?", abort=True, err=True)
    fleet = deployment.fleet
    wanted = importable() if secrets else importable() - {*SECRETS}
    with meter("Exporting", fleet.size().phones) as bar, _written(file) as lines:
        for page in fleet.pages(wanted):
            for phone in page.phones:
                lines.write(json.dumps(plain(phone), ensure_ascii=False) + "\n")
            bar.advance(len(page.phones))


@contextmanager
def _written(file: Path) -> Iterator[TextIO]:
    """Standard output for "-"; otherwise a private draft of the file, which takes its place at the end."""
    if str(file) == "-":
        yield sys.stdout
        return
    draft = file.with_name(f"{file.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    try:
        with draft.open("w", encoding="utf-8") as lines:
            yield lines
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


@click.command()
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option(
    "--from", "source", type=click.Choice(list(migrating.SOURCES)), required=True, help="Where it is from."
)
@click.option(
    "--customer",
    "customers",
    multiple=True,
    metavar="[DOMAIN=]ID",
    help="The customer of all phones, or of those of a SIP domain; can be repeated.",
)
@click.option(
    "--new-pairs", is_flag=True, help="Phones of whose password there is only a hash get new credentials."
)
@click.option("--reveal", is_flag=True, help="Show usernames and passwords on a terminal too.")
def convert(*, file: TextIO, source: str, customers: tuple[str, ...], new_pairs: bool, reveal: bool) -> None:
    """Convert another system's export.

    Prints what `import` takes; needs no deployment. FILE is CSV as the system's own export or psql writes it, or
    what `mysql --batch` prints. docs/migration.md has the queries.

    \b
    Example:
      ./phones convert --from freepbx --customer 5F00000000000000000000C9 extensions.csv
    """
    conversion = migrating.Conversion(
        migrating.SOURCES[source], migrating.customers(customers), new_pairs=new_pairs
    )
    refused = 0
    try:
        for record in conversion.records(file):
            if isinstance(record, BadRecord):
                refused += 1
                say(f"line {record.line}: {record.reason}")
            else:
                show(masked(record.phone, reveal=reveal or not on_terminal()))
    except migrating.NotAnExport as error:
        raise click.ClickException(str(error)) from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"expected UTF-8 text: {error}") from error
    if shared := conversion.shared_usernames:
        say(f"{shared:,} usernames stand in several domains: the registrar feed answers for none of their phones")
    if refused:
        sys.exit(1)
