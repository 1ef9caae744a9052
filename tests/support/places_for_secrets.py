"""The places that are meant for secrets, each with the reason why it may have them. Any other is a leak."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.known_secrets import HA1, PASSWORD, TOKEN

NONE: frozenset[str] = frozenset()
PAIRS = frozenset({PASSWORD})
DIGESTS = frozenset({HA1})
TOKENS = frozenset({TOKEN})
ALL = PAIRS | DIGESTS | TOKENS


@dataclass(frozen=True)
class Place:
    """Secrets of these kinds may be where the regular expression is found in the name of a place."""

    name: str
    kinds: frozenset[str]
    reason: str


# Answers over HTTP with status 200, by path. Refusals and headers never have a secret.
ANSWERS = [
    Place("/resetcredentials", PAIRS, "whoever resets a phone is told its new pair"),
    Place("/registrar/", DIGESTS, "registrars check phones with HA1, and are never told a password"),
]
# Answers of Lambda functions, by event.
INVOCATIONS = [
    Place("'includeCredentials': True", PAIRS, "a workflow that asks for the pair gets it"),
]
# Bodies of requests to AWS, by service and property.
REQUESTS = [
    Place("^dynamodb$", PAIRS, "the table is the truth; of tokens it has the SHA-256 only"),
    Place("^secrets-manager SecretString$", PAIRS, "the copy of the pair; not names, not tags"),
]
# What programs print, by command line. What they write to standard error never has a secret.
PROGRAMS = [
    Place(r"ops\.cli .*--reveal", PAIRS, "an operator asks for the pair of a phone"),
    Place(r"ops\.cli .*export .*--secrets", PAIRS, "an operator asks for all pairs, and confirms it"),
    Place(r"ops\.cli .*convert", PAIRS, "what `import` takes; on a terminal with --reveal only"),
    Place(r"ops\.cli .*tokens issue", TOKENS, "a token is shown once, to who issues it"),
    Place(r"examples/reset_phone\.py", PAIRS, "an example that prints the pair which it asked for"),
    Place("bash -c .*curl", PAIRS | DIGESTS, "what documents tell people to ask the API for"),
    Place("bash -c .*phones tokens issue", TOKENS, "the same of a token"),
    Place(r"tests/support/archive\.py", PAIRS | DIGESTS, "the tests' Lambda, which hands answers back"),
]
# Loggers whose records below INFO are nobody's business, because they are of who plays somebody else in a test.
LOGGERS = {
    "moto": "it plays AWS",
    "selenium": "it plays a person, who types a token and reads the answer",
}
# Files that tests leave, by path.
FILES = [
    Place("/aws/", ALL, "the state of a simulated AWS: the table and the secrets themselves"),
    Place(r"/run\.json$", TOKENS, "what `make run` hands to scripts of the same user"),
    Place(r"/tokens\.json$", TOKENS, "what the generator of hostile requests presents"),
    Place(r"\.jsonl$", PAIRS, "what an import reads, or an export that was asked for pairs writes"),
    Place(r"\.(py|js)$", ALL, "copies of the project's own"),
]
# What `make run` prints: the phone of its first reset, and how to reset it again.
_OF_MAKE_RUN = {"output.txt", "make-run.log"}
_PRINTED_BY_MAKE_RUN = re.compile(
    r"^  \"password\": .*$|^  curl -s -X POST -H 'Authorization: Bearer .*$", re.MULTILINE
)


def kinds(places: list[Place], name: str) -> frozenset[str]:
    """The kinds of secrets that may be in the place of that name."""
    return NONE.union(*(place.kinds for place in places if re.search(place.name, name, re.DOTALL)))


def parts_of_request(service: str, body: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The parts of the body of a request to AWS, each with the kinds of secrets that may be in it."""
    if service == "secrets-manager":
        asked = json.loads(body)
        secret = "SecretString"
        yield asked.pop(secret, ""), kinds(REQUESTS, f"{service} {secret}")
        body = json.dumps(asked)
    yield body, kinds(REQUESTS, service)


def text_of(file: Path) -> str:
    """What a file has, without the lines of `make run` that are meant for secrets; nothing, when it is no text."""
    content = file.read_bytes()
    if b"\0" in content:
        return ""
    text = content.decode("latin-1")
    return _PRINTED_BY_MAKE_RUN.sub("", text) if file.name in _OF_MAKE_RUN else text
