"""SIP credentials: generated, and as the digests that registrars keep. Pure: no AWS, no clock, no state."""

import hashlib
import secrets
import string
from dataclasses import dataclass
from enum import StrEnum

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

    def ha1(self, algorithm: "Algorithm", *, realm: str) -> str:
        """``H(username:realm:password)`` in lower-case hex, the secret part of a digest's answer.

        RFC 7616, section 3.4.2. It is as good as the password within its realm.
        """
        return algorithm.digest(f"{self.username}:{realm}:{self.password}")

    def ha1b(self, algorithm: "Algorithm", *, domain: str, realm: str) -> str:
        """HA1 for a phone that presents ``username@domain`` as its username."""
        return algorithm.digest(f"{self.username}@{domain}:{realm}:{self.password}")


class Algorithm(StrEnum):
    """A hash algorithm of SIP digest authentication, under its name in the challenge (RFC 8760, section 2.1)."""

    MD5 = "MD5"
    SHA_256 = "SHA-256"
    SHA_512_256 = "SHA-512-256"

    def digest(self, text: str) -> str:
        """The hash of ``text`` in lower-case hex."""
        return hashlib.new(_HASHLIB[self], text.encode(), usedforsecurity=False).hexdigest()


_HASHLIB = {Algorithm.MD5: "md5", Algorithm.SHA_256: "sha256", Algorithm.SHA_512_256: "sha512_256"}


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
    # One draw for all characters: `secrets.choice` asks the operating system for each of them.
    number = secrets.randbelow(len(ALPHABET) ** LENGTH)
    characters = []
    for _ in range(LENGTH):
        number, position = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[position])
    return "".join(characters)
