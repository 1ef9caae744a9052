"""What our PynamoDB models share: how they connect, and what their failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore.config import Config
from pynamodb.attributes import Attribute, MapAttribute
from pynamodb.constants import MAP, NUMBER
from pynamodb.exceptions import PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from chalicelib.aws import USER_AGENT
from chalicelib.errors import Unavailable
from chalicelib.settings import Settings

ItemT = TypeVar("ItemT", bound=Model)


class ConditionFailed(Exception):
    """A conditional write did not happen, because a clause of its condition does not hold."""


class RequestRefused(Exception):
    """DynamoDB refused a request for a reason that will last. ``str(error)`` is its error code."""


class EpochSeconds(Attribute[datetime]):
    """A moment in UTC, kept as a number of whole seconds.

    Not PynamoDB's ``TTLAttribute``: a table made with one deletes its items when that moment has come.
    """

    attr_type = NUMBER

    def serialize(self, value: datetime) -> str:
        """The seconds since 1970, as DynamoDB takes numbers."""
        return str(int(value.timestamp()))

    def deserialize(self, value: str) -> datetime:
        """The moment again."""
        return datetime.fromtimestamp(int(value), UTC)


class PlainMap(Attribute[dict[str, Any]]):
    """A map of texts, whole numbers and such maps, read as what Python has for them.

    PynamoDB's own makes an object of each map.
    """

    attr_type = MAP

    def serialize(self, value: dict[str, Any]) -> Any:
        """The map as DynamoDB takes it."""
        return MapAttribute().serialize(value)

    def deserialize(self, value: dict[str, Any]) -> dict[str, Any]:
        """The map again."""
        return {name: self._plain(*part.items()) for name, part in value.items()}

    def _plain(self, part: tuple[str, Any]) -> Any:
        kind, content = part
        if kind == MAP:
            return self.deserialize(content)
        return int(content) if kind == NUMBER else content


class Connection:
    """Base of every model's ``Meta``: at most about nine seconds for a call that keeps failing.

    Three attempts of at most three seconds, and the SDK's back-off between them: inside the 29 seconds that
    API Gateway waits, and far inside the life of a publisher.
    """

    connect_timeout_seconds = 1
    read_timeout_seconds = 2
    max_retry_attempts = 2
    max_pool_connections = 32
    region: str | None = None


def bind(model: type[Model], *, table: str, settings: Settings) -> None:
    """Points ``model`` at its table. Takes effect with the model's next first call."""
    model.Meta.table_name = table
    model.Meta.region = settings.region
    # PynamoDB makes the client when it is needed, in this session if that is in this thread.
    session = model._get_connection().connection.session  # noqa: SLF001 - PynamoDB has no public way
    session.set_default_client_config(Config(user_agent=USER_AGENT))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises what a failed call means for the caller in place of PynamoDB's exception.

    :class:`ConditionFailed` for a condition that does not hold; :class:`Unavailable` when DynamoDB throttled,
    failed or could not be reached, so that a write may or may not have happened; :class:`RequestRefused` for
    everything else, such as a missing permission, which is a fault of ours.
    """
    try:
        yield
    except PynamoDBException as error:
        # Not `error.cause_response_code`: it fails itself where the SDK got no response at all.
        response = getattr(error.cause, "response", None) or {}
        code = response.get("Error", {}).get("Code")
        if code == "ConditionalCheckFailedException":
            raise ConditionFailed from error
        if code is None or code in _TRANSIENT:
            raise Unavailable from error
        raise RequestRefused(code) from error


def update(item: ItemT, actions: list[Action], condition: Condition) -> ItemT:
    """Changes an item where ``condition`` holds, and answers with it as it is then."""
    with translated_errors():
        item.update(actions=actions, condition=condition)
    return item


def write(model: type[Model], key: str, actions: list[Action], condition: Condition) -> None:
    """Like :func:`update`, without having the item sent back: to read it is most of an update's work."""
    with translated_errors():
        model._get_connection().update_item(key, actions=actions, condition=condition)  # noqa: SLF001 - PynamoDB has no public way


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html. No code at all is a
# connection that failed, or an answer that cannot be read.
_TRANSIENT = frozenset({
    "InternalFailure",
    "InternalServerError",
    "ItemCollectionSizeLimitExceededException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "ThrottlingException",
    "Throttling",
    "TransactionConflictException",
})  # fmt: skip
