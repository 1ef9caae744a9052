"""Turns exports of FreePBX, FusionPBX and Kamailio into what an import takes. `docs/migration.md` has the guide.

A source is a table of columns: which of them has what an imported phone needs. A password of which a source
keeps a hash only cannot be carried over.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from chalicelib.clock import timestamp
from ops.phone_records import BadRecord, Record, check

Row = Mapping[str, str]


class NotAnExport(Exception):
    """A file that is no export of the source. The text says what was expected."""


def _not_sip(row: Row) -> str:
    tech = row.get("tech", "pjsip").lower()
    return "" if tech in {"sip", "pjsip"} else f"a device of the kind {tech!r} does not register by SIP"


def _disabled(row: Row) -> str:
    off = [name for name in ("enabled", "device_enabled") if row.get(name, "").lower() in {"false", "f"}]
    return f"{off[0]} is false" if off else ""


@dataclass(frozen=True, slots=True)
class Source:
    """The columns of a system's exports, by what they hold; of several, the first one that has a value counts."""

    username: tuple[str, ...]
    password: tuple[str, ...]
    hashes: tuple[str, ...] = ()
    """What the system checks in the place of the password, where it does not have it."""
    domain: tuple[str, ...] = ()
    """The SIP domain, which these systems take for the realm too."""
    customer: tuple[str, ...] = ()
    extension: tuple[str, ...] = ()
    mac: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    config_loaded: tuple[str, ...] = ()
    """When the phone last fetched its configuration."""
    left_out: Callable[[Row], str] = lambda _: ""
    """Why a row is no phone that registers; empty for a phone."""


SOURCES: dict[str, Source] = {
    # The Bulk Handler's export of extensions: https://github.com/FreePBX/core, Core.class.php, bulkhandlerExport.
    # PJSip.class.php takes the extension for the username where none is set, and md5_cred before the secret.
    "freepbx": Source(
        username=("username", "extension"),
        password=("secret",),
        hashes=("md5_cred",),
        extension=("extension",),
        notes=("name", "description"),
        left_out=_not_sip,
    ),
    # The exports of devices with their lines and of extensions: https://github.com/fusionpbx/fusionpbx,
    # app/devices/device_download.php and app/extensions/extension_download.php.
    "fusionpbx": Source(
        username=("auth_id", "user_id", "extension"),
        password=("password",),
        domain=("domain_name", "server_address"),
        customer=("domain_uuid",),
        extension=("extension", "user_id"),
        mac=("device_address", "device_mac_address"),
        notes=("device_description", "device_label", "display_name", "description", "effective_caller_id_name"),
        config_loaded=("device_provisioned_date",),
        left_out=_disabled,
    ),
    # The table subscriber: https://github.com/kamailio/kamailio, src/lib/srdb1/schema/subscriber.xml.
    "kamailio": Source(
        username=("username",),
        password=("password",),
        hashes=("ha1", "ha1b"),
        domain=("domain",),
        notes=("email_address",),
    ),
}


def customers(given: Iterable[str]) -> dict[str, str]:
    """Customers by SIP domain, from texts ``DOMAIN=ID``; one without a domain is for all other phones."""
    return {domain.lower(): customer for domain, _, customer in (text.rpartition("=") for text in given)}


@dataclass(slots=True)
class Conversion:
    """The conversion of one file, with what a person decided about it."""

    source: Source
    customers: Mapping[str, str]
    new_pairs: bool = False
    """A phone of whose password there is only a hash goes in without a pair, and the import makes one."""
    _lines: dict[tuple[str, str], int] = field(default_factory=dict)
    """On which line a username of a domain was first."""

    def records(self, lines: Iterable[str]) -> Iterator[Record | BadRecord]:
        """What each phone of the file becomes, or why it cannot go in. Raises :class:`NotAnExport`."""
        for line, row in _rows(lines, self.source):
            for phone in _phones_of(row):
                try:
                    yield check(line, self._converted(line, phone))
                except _LeftOut as reason:
                    yield BadRecord(line, str(reason))

    @property
    def shared_usernames(self) -> int:
        """How many usernames stand in several domains, of what was converted so far."""
        domains = Counter(username for _, username in self._lines)
        return sum(number > 1 for number in domains.values())

    def _converted(self, line: int, row: Row) -> dict[str, Any]:
        source = self.source
        if reason := source.left_out(row):
            raise _LeftOut(f"left out: {reason}")
        username, domain = _first(row, source.username), _first(row, source.domain).lower()
        if not username:
            raise _LeftOut(f"left out: no {' or '.join(source.username)}")
        first_line = self._lines.setdefault((domain, username), line)
        if first_line != line:
            raise _LeftOut(f"has the username of line {first_line}: give each phone its own before the migration")
        customer = self.customers.get(domain) or self.customers.get("") or _first(row, source.customer)
        if not customer:
            which = f" of the domain {domain}" if domain else ""
            raise _LeftOut(f"nobody says whose the phones{which} are: add --customer")
        values = {
            "_id": _phone_id(domain or customer, username),
            "customer": customer,
            "extension": _first(row, source.extension),
            "macAddress": re.sub("[-:. ]", "", _first(row, source.mac)).upper(),
            "notes": _first(row, source.notes),
            "realm": domain,
            "domain": domain,
            **self._pair(row, username),
        }
        phone: dict[str, Any] = {name: value for name, value in values.items() if value}
        if loaded := _first(row, source.config_loaded):
            phone["status"] = {"configLoaded": _moment(loaded)}
        return phone

    def _pair(self, row: Row, username: str) -> dict[str, str]:
        hashes = [name for name in self.source.hashes if row.get(name)]
        password = _first(row, self.source.password)
        if password:
            return {"username": username, "password": password}
        if not hashes:
            raise _LeftOut("left out: no password")
        if not self.new_pairs:
            raise _LeftOut(
                f"{hashes[0]} is only a hash of the password, which cannot be carried over: "
                "--new-pairs gives the phone a new pair, with which it has to be provisioned"
            )
        return {}


class _LeftOut(Exception):
    """A row that does not go in, and why."""


def _phone_id(realm: str, username: str) -> str:
    """The same id whenever the same phone is converted, so that an import can be repeated."""
    return hashlib.sha256(f"{realm} {username}".encode()).hexdigest()[:24].upper()


def _first(row: Row, columns: Iterable[str]) -> str:
    return next((value for name in columns if (value := row.get(name, "").strip())), "")


def _moment(text: str) -> str:
    """A database's date and time as RFC 3339, in UTC where it has no offset; what is none stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _phones_of(row: Row) -> Iterator[Row]:
    """The phones of a row: FusionPBX writes a device's lines side by side, from the second on as ``name|2``."""
    yield row
    for place in sorted({place for _, bar, place in (name.partition("|") for name in row) if bar}):
        suffix = f"|{place}"
        line = {name.removesuffix(suffix): value for name, value in row.items() if name.endswith(suffix)}
        if any(line.values()):
            yield {**row, **line}


def _rows(lines: Iterable[str], source: Source) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a file with the line that each starts on: CSV, or the tabs of `mysql --batch`."""
    lines = iter(lines)
    header = next(lines, "")
    table = _mysql(header, lines) if "\t" in header else _csv(header, lines)
    columns = [name.lower() for name in next(table)[1]]
    secrets = (*source.password, *source.hashes)
    if not ({*columns} & {*source.username} and {*columns} & {*secrets}):
        raise NotAnExport(
            f"expected a first line with the columns {' or '.join(source.username)}, and {' or '.join(secrets)}"
        )
    for line, values in table:
        yield line, dict(zip(columns, values, strict=False))


def _csv(header: str, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(chain([header], lines), strict=True)
    line = 1
    try:
        for values in reader:
            if values or line == 1:
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise NotAnExport(f"line {line} is not CSV: {error}") from error


def _mysql(header: str, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(chain([header], lines), start=1):
        values = text.rstrip("\n").split("\t")
        yield (
            line,
            ["" if value == "NULL" else _ESCAPED.sub(_unescaped, value) for value in values],
        )


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPES[escape[1]]


# https://dev.mysql.com/doc/refman/8.4/en/mysql-command-options.html#option_mysql_raw
_ESCAPES = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_ESCAPED = re.compile(r"\\([nt0\\])")
