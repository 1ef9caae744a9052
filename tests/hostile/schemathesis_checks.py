"""A check of ours beside those of schemathesis, which loads this file by its path."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import skips_on_unexpected_http_status

# What every answer over HTTP/1.1 has and OpenAPI leaves to HTTP.
OF_HTTP = {"connection", "content-length", "content-type", "date"}


@schemathesis.check
@skips_on_unexpected_http_status
def documented_headers_only(_ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Every header of an answer is in the description of its status."""
    definition = case.operation.responses.find_by_status_code(response.status_code)
    documented = {name.lower() for name, _ in definition.headers.items()} if definition else set()
    undocumented = {name.lower() for name in response.headers} - documented - OF_HTTP
    assert not undocumented, f"undocumented headers: {', '.join(sorted(undocumented))}"
    return None
