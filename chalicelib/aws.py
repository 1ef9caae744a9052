"""AWS clients other than DynamoDB's, and what the failures of all of them mean."""

import json
from collections.abc import Mapping
from typing import Any, Self

import botocore.handlers
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CONCURRENCY = 32
"""How many calls a process has under way at most."""
USER_AGENT = "sip-credentials"
"""Who calls. Its own text the SDK would put together anew for each call, twice."""

# A call that keeps failing is over after about seven seconds: two attempts of at most three, and the SDK's
# back-off. What it should have done then follows later. Without parameter validation a mistake of ours cannot
# put a secret into an exception's text.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    max_pool_connections=CONCURRENCY,
    parameter_validation=False,
    user_agent=USER_AGENT,
)
_SERVER_ERROR = 500


class CallFailed(Exception):
    """AWS did not do what it was asked. ``str(error)`` is the AWS error code or the SDK's exception.

    ``transient`` says that it was throttled, broken or out of reach, so that the same call may succeed soon;
    otherwise it was refused, and the reason will last.
    """

    def __init__(self, code: str, *, transient: bool) -> None:
        super().__init__(code)
        self.transient = transient

    @classmethod
    def because(cls, failure: ClientError | BotoCoreError) -> Self:
        """What a failure of the SDK means."""
        if not isinstance(failure, ClientError):
            return cls(type(failure).__name__, transient=True)
        code = failure.response["Error"]["Code"]
        status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return cls(code, transient=status >= _SERVER_ERROR or "Throttl" in code)


def client(session: botocore.session.Session, service: str, region: str | None) -> Any:
    """A client of ``service``; typed clients exist for the type checker only."""
    return session.create_client(service, region_name=region, config=_CONFIG)


class UnreadableAnswer(BotoCoreError):
    """The body of an answer is not JSON: it was cut short, or somebody other than AWS gave it."""

    fmt = "The answer is not JSON"


def refuse_unreadable(http_response: AWSResponse, parsed: Mapping[str, Any], **_: Any) -> None:
    """Makes a call fail whose answer cannot be read. Raises :class:`UnreadableAnswer`.

    The SDK takes such an answer for an empty one, which from DynamoDB means that there is no such item. It does
    retry an answer that differs from DynamoDB's checksum, but takes it in the end (`botocore.retries.special`).
    """
    if parsed.keys() <= {"ResponseMetadata", "Error"}:  # all that the SDK adds by itself
        try:
            json.loads(http_response.content)
        except ValueError as error:
            raise UnreadableAnswer from error


# PynamoDB makes its own sessions; this list reaches them all. Other services may well answer with nothing.
botocore.handlers.BUILTIN_HANDLERS.extend(
    (f"after-call.{service}", refuse_unreadable) for service in ("dynamodb", "secrets-manager", "eventbridge")
)
