"""Powertools' resolver for REST APIs. https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/api_gateway/"""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from bench.peers import steps

logger = Logger(service="powertools")
app = APIGatewayRestResolver()


@app.post("/pbx/sipphone/<phone_id>/resetcredentials")
def reset_credentials(phone_id: str) -> dict[str, Any]:
    """Resets the phone and answers with it."""
    customer = app.current_event.request_context.authorizer["customer"]
    try:
        return steps.reset(phone_id, customer)
    except steps.UnknownPhone:
        raise NotFoundError("SIP phone not found") from None


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
