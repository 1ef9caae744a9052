"""Everything a caller can be told that went wrong.

::

    ServiceError
    ├── BadRequest          400  bad_request
    ├── Unauthorized        401  unauthorized
    ├── AccessDenied        403  access_denied
    ├── NotFound            404  not_found
    ├── MethodNotAllowed    405  method_not_allowed
    ├── Superseded          409  superseded
    ├── TooManyRequests     429  too_many_requests    (said by API Gateway, never by our code)
    ├── InternalError       500  internal_error
    └── Unavailable         503  unavailable

The class names are part of the contract: Step Functions matches on them. The text of an error reaches the
caller and the logs, so it never holds a secret.
"""

from typing import ClassVar


class ServiceError(Exception):
    """An outcome other than success, as the contract names it.

    ``code`` is the HTTP status, ``message`` the stable name for programs, and ``str(error)`` one sentence
    for people.
    """

    code: ClassVar[int]
    message: ClassVar[str]
    description: ClassVar[str]

    def __init__(self, description: str | None = None) -> None:
        super().__init__(description or self.description)

    def body(self, request_id: str) -> dict[str, int | str]:
        """The JSON object which answers the request ``request_id``."""
        return {"code": self.code, "message": self.message, "description": str(self), "requestId": request_id}


class BadRequest(ServiceError):
    """The request itself is malformed; repeating it unchanged cannot succeed."""

    code = 400
    message = "bad_request"
    description = "Malformed request"


class Unauthorized(ServiceError):
    """No API token, or one that is unknown, expired or revoked."""

    code = 401
    message = "unauthorized"
    description = "A valid API token is required: Authorization: Bearer <token>"


class AccessDenied(ServiceError):
    """The caller's access level does not allow the operation on any phone."""

    code = 403
    message = "access_denied"
    description = "Insufficient access level"


class NotFound(ServiceError):
    """There is no such phone, or none that the caller may know of: the two are not told apart."""

    code = 404
    message = "not_found"
    description = "SIP phone not found"


class MethodNotAllowed(ServiceError):
    """The resource exists and does not take this method."""

    code = 405
    message = "method_not_allowed"
    description = "Use GET or POST"


class Superseded(ServiceError):
    """The request did reset the phone once, and a later reset has replaced that pair."""

    code = 409
    message = "superseded"
    description = "A later reset has replaced the credentials of this request; reset again with a new key"


class TooManyRequests(ServiceError):
    """The API's throttling limit was reached."""

    code = 429
    message = "too_many_requests"
    description = "Too many requests; retry later"


class InternalError(ServiceError):
    """A fault of the service. The cause is in its log, under the request id, and nowhere else."""

    code = 500
    message = "internal_error"
    description = "Internal error"


class Unavailable(ServiceError):
    """DynamoDB is throttled or out of reach: nothing was changed, or nobody knows yet."""

    code = 503
    message = "unavailable"
    description = "Temporarily unavailable; retry with the same Idempotency-Key"
