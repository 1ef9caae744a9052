"""The places that are meant for secrets: answers to whoever asked, the table, Secrets Manager. Any other is a leak."""

import json
import re
from pathlib import Path

from tests.support.known_secrets import HA1, PASSWORD

NONE: frozenset[str] = frozenset()
_STORED = frozenset({PASSWORD, HA1})

_ANSWERED = {"/resetcredentials": PASSWORD, "/registrar/": HA1}
# Commands of the operators that are asked for secrets, the tests' Lambda, and what documents tell people to type.
_PROGRAMS = re.compile(
    r"ops\.cli .*(--reveal|tokens issue|export|convert)|tests/support/archive\.py|examples/reset_phone\.py|^bash -c"
)
# Of what `make run` prints: the phone of its first reset, and how to reset it again.
_PRINTED_BY_MAKE_RUN = re.compile(
    r"^  \"password\": .*$|^  curl -s -X POST -H 'Authorization: Bearer .*$", re.MULTILINE
)
_OF_MAKE_RUN = {"output.txt", "make-run.log"}
_FILES = {
    "aws",  # the state of a simulated AWS: the table and the secrets themselves
    "run.json",  # what `make run` hands to scripts of the same user
}
_KINDS_OF_FILES = {
    ".jsonl",  # what an import reads and an export writes
    ".py", ".js",  # copies of the project's own
}  # fmt: skip


def in_success(path: str) -> frozenset[str]:
    """The kinds of secrets that may be in the body of a good answer over HTTP."""
    return frozenset(kind for part, kind in _ANSWERED.items() if part in path)


def in_lambda_answer(event: object) -> frozenset[str]:
    """The kinds of secrets that may be in the answer of a Lambda function to ``event``."""
    return frozenset({PASSWORD}) if "'includeCredentials': True" in repr(event) else NONE


def in_request_to_aws(service: str, body: str) -> list[tuple[str, frozenset[str]]]:
    """The parts of a request's body, each with the kinds of secrets that may be in it."""
    if service == "dynamodb":
        return [(body, _STORED)]
    if service == "secrets-manager":
        asked = json.loads(body)
        return [(asked.pop("SecretString", ""), _STORED), (json.dumps(asked), NONE)]
    return [(body, NONE)]


def is_output(command: str) -> bool:
    """Whether the output of a program is secrets that it was asked for."""
    return _PROGRAMS.search(command) is not None


def outside(file: Path) -> str:
    """The text of a file without what is meant to be in it; none, where all of it is, or where it is no text."""
    if file.suffix in _KINDS_OF_FILES or _FILES & {*file.parts}:
        return ""
    content = file.read_bytes()
    if b"\0" in content:
        return ""
    text = content.decode("latin-1")
    return _PRINTED_BY_MAKE_RUN.sub("", text) if file.name in _OF_MAKE_RUN else text
