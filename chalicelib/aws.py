"""AWS clients other than DynamoDB's, and what their failures mean."""

from typing import Any, Self

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CONCURRENCY = 32
"""How many calls a process has under way at most."""

# A call that keeps failing is over after about seven seconds: two attempts of at most three, and the SDK's
# back-off. What it should have done then follows later. Without parameter validation a mistake of ours cannot
# put a secret into an exception's text.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    max_pool_connections=CONCURRENCY,
    parameter_validation=False,
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
