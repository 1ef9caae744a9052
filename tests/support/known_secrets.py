"""The secrets that were made or seen so far, and a quick look for them in a text."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "a password"
TOKEN = "an API token"
HA1 = "an HA1"

SHORTEST = 8
"""A shorter password, or one without a digit, such as an import can bring, would be found in any text."""
EXAMPLES = (Path(__file__).parent.parent.parent / "docs" / "openapi.yaml").read_text()
"""What the API's description shows to everybody is no secret."""

# What is generated is 32 or 64 characters long, in lower case and digits.
_GENERATED = re.compile(r"[0-9a-z]{32}(?:[0-9a-z]{32})?")
_DIGIT = re.compile(r"\d")
_RUN = re.compile(r"[0-9A-Za-z]{32,}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]{43,}")
# By their form alone, wherever they were made: another program's, for instance.
_TOKEN = re.compile(r"sipcred_[0-9a-f]{16}_([0-9a-f]{64})")
_PASSWORD = re.compile(r"password\W{1,20}(?:S\W{1,10})?([0-9a-z]{32})(?![0-9a-z])")
# What pytest leaves of a long text.
_SHORTENED = re.compile(r"[0-9a-z]{8,}\.\.\.[0-9a-z]{8,}")
_MASK = "<secret>"


class KnownSecrets:
    """A set of secrets, each with its kind."""

    def __init__(self) -> None:
        self._generated: dict[str, str] = {}
        self._others: dict[str, str] = {}

    def learn(self, kind: str, secret: str | None) -> int:
        """Adds a secret, unless it is None or cannot be told from other text. Answers how many are new: 0 or 1."""
        if secret is None or len(secret) < SHORTEST or not _DIGIT.search(secret) or secret in EXAMPLES:
            return 0
        secrets = self._generated if _GENERATED.fullmatch(secret) else self._others
        is_new = secret not in secrets
        secrets[secret] = kind
        return int(is_new)

    def learn_from(self, text: str) -> int:
        """Adds what ``text`` has in the form of a secret, and answers how many of that are new."""
        return sum(self.learn(kind, secret) for kind, secret in _by_form(text))

    def kinds_in(self, text: str) -> set[str]:
        """The kinds of the secrets that stand in ``text``, as they are or in base64."""
        return {kind for kind, _ in self._found_in(text)}

    def masked(self, text: str) -> str:
        """``text`` with no secret in it."""
        for _, secret in self._found_in(text):
            text = text.replace(secret, _MASK)
        return _SHORTENED.sub(_MASK, text)

    def _found_in(self, text: str) -> Iterator[tuple[str, str]]:
        yield from _by_form(text)
        for secret, kind in [*self._others.items()]:
            if secret in text:
                yield kind, secret
        yield from self._generated_in(text)
        for encoded in _BASE64.findall(text):
            whole = encoded[:-1] if len(encoded) % 4 == 1 else encoded
            decoded = base64.b64decode(whole + "===").decode("latin-1")
            for kind, _ in self._generated_in(decoded):
                yield kind, encoded

    def _generated_in(self, text: str) -> Iterator[tuple[str, str]]:
        for run in _RUN.findall(text):
            for length in (32, 64):
                for start in range(len(run) - length + 1):
                    candidate = run[start : start + length]
                    if (kind := self._generated.get(candidate)) is not None:
                        yield kind, candidate


def _by_form(text: str) -> Iterator[tuple[str, str]]:
    for kind, form in ((TOKEN, _TOKEN), (PASSWORD, _PASSWORD)):
        for secret in form.findall(text):
            if secret not in EXAMPLES:
                yield kind, secret
