"""Generates SIP credentials. Pure: no AWS, no clock, no state."""

import secrets
import string
from dataclasses import dataclass

# Lower case and digits survive stores that fold case, XML, INI files and URLs without escaping, and 32 is
# the longest length that the strictest of the common platforms accepts. 36^32 is 165 bits.
ALPHABET = string.ascii_lowercase + string.digits
LENGTH = 32


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """The pair a phone authenticates with at its registrar: SIP digest username and password.

    Its ``repr`` shows neither.
    """

    username: str
    password: str


def generate() -> Credentials:
    """A fresh pair, each part 32 characters from ``a-z0-9``."""
    return Credentials(username=_random_text(), password=_random_text())


def new_id() -> str:
    """A fresh id for a pair or a publication: 32 hex digits, which Secrets Manager takes as a VersionId.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    (``ClientRequestToken``: 32 to 64 characters)
    """
    return secrets.token_hex(16)


def _random_text() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
