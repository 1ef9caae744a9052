"""The service's log: JSON lines, and nothing of the SDK's that could hold a secret."""

import logging

from aws_lambda_powertools import Logger

logger = Logger(service="sip-credentials")

# At DEBUG these print requests and answers, bodies and all.
_TELL_TALES = ("boto3", "botocore", "pynamodb", "urllib3")


class _NoDebug(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


def silence_sdk_debug_logs() -> None:
    """Keeps the SDK's debug records out of the log, whatever level anyone sets on its loggers."""
    no_debug = _NoDebug()
    for name, sdk_logger in logging.root.manager.loggerDict.items():
        if isinstance(sdk_logger, logging.Logger) and name.split(".")[0] in _TELL_TALES:
            sdk_logger.addFilter(no_debug)
