"""What several commands take: the deployment, a phone's id, a duration, a MAC address."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from chalicelib.errors import NotFound
from chalicelib.phones import canonical_id
from ops.deployments import Deployment
from ops.fleet import canonical_mac

pass_deployment = click.make_pass_decorator(Deployment)


class PhoneId(click.ParamType[str]):
    """The id of a phone, in its canonical form."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Takes upper and lower case."""
        try:
            return canonical_id(value)
        except NotFound:
            self.fail(f"expected 24 hex digits, got {value!r}", param, ctx)


class Mac(click.ParamType[str]):
    """A MAC address, with any of the usual separators or none."""

    name = "MAC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """12 hex digits in upper case."""
        try:
            return canonical_mac(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[timedelta]):
    """A time such as ``4h`` or ``1d12h``."""

    name = "TIME"
    _FORM = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Weeks, days, hours, minutes and seconds, each at most once."""
        if isinstance(value, timedelta):
            return value
        match = self._FORM.fullmatch(value) if value else None
        if match is None or len(value) > _LONGEST:
            self.fail(f"expected a time such as 90m, 4h or 1d12h, got {value!r}", param, ctx)
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


class Moment(click.ParamType[str]):
    """A date and time; without an offset, UTC."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As RFC 3339 has it."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected a date such as 2026-01-31 or 2026-01-31T22:00Z, got {value!r}", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


PHONE_ID = PhoneId()
MAC = Mac()
DURATION = Duration()
MOMENT = Moment()
_LONGEST = 9
